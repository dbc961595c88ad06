"""The files of sentence-transformers beside a model: what follows it, and how texts are read.

``modules.json`` names folders, in which there are a configuration and maybe weights.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from lmkernel.checkpoints.json_files import read_list
from lmkernel.files import is_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ABOUT", "MODULES", "TEXTS", "is_sentence_file", "sentence_files"]

MODULES = "modules.json"
ABOUT = "config_sentence_transformers.json"
TEXTS = (
    *("sentence_bert_config.json", "sentence_roberta_config.json"),
    *("sentence_distilbert_config.json", "sentence_camembert_config.json"),
    *("sentence_albert_config.json", "sentence_xlm-roberta_config.json"),
    "sentence_xlnet_config.json",
)
"""Where it is said how texts are read: the first of these that says anything."""
_TOP = (MODULES, ABOUT, *TEXTS)
_LEAVES = ("config.json", "model.safetensors")
_INNER = re.compile(r"[0-9]{1,3}_(?!Transformer)[A-Za-z]{1,40}/(config\.json|model\.safetensors)")


def is_sentence_file(name: str) -> bool:
    """Whether it is one of them by its path below the model's folder, as the library names it."""
    return name in _TOP or _INNER.fullmatch(name) is not None


def sentence_files(folder: Path) -> dict[str, Path]:
    """Those that a folder has, by their paths below it.

    Raises:
        CheckpointError: ``modules.json`` is damaged.
    """
    names = [*_TOP, *(f"{place}/{leaf}" for place in _places(folder) for leaf in _LEAVES)]
    return {name: folder / name for name in names if is_file(folder / name)}


def _places(folder: Path) -> Iterator[str]:
    """The folders that are named beside the model's own; what is not beside it is no part of it."""
    if not is_file(folder / MODULES):
        return
    for entry in read_list(folder / MODULES):
        place = entry.get("path") if isinstance(entry, dict) else None
        if isinstance(place, str) and _is_beside(place):
            yield place


def _is_beside(place: str) -> bool:
    return PurePath(place).parts == (place,) and place != ".." and "\0" not in place
