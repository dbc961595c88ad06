"""How a folder says that sentences become vectors, in the files of sentence-transformers.

``modules.json`` lists what follows the model (a pooling, maybe a normalisation),
``1_Pooling/config.json`` how it pools, ``sentence_bert_config.json`` how long a text may be.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.json_files import read_object
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["SentenceSettings", "read_sentence_settings"]

_MODULES = "modules.json"
_POOLINGS: Mapping[str, str] = MappingProxyType(
    {"mean": "mean", "cls": "first", "lasttoken": "last", "max": "max"}
)
_FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "pooling_mode_cls_token": "cls",
        "pooling_mode_max_tokens": "max",
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
        "pooling_mode_weightedmean_tokens": "weightedmean",
        "pooling_mode_lasttoken": "lasttoken",
    }
)
"""What older folders say in place of ``pooling_mode``, one flag for each."""


@final
@dataclass(frozen=True)
class SentenceSettings:
    """What a folder says.

    Args:
        pooling: ``"mean"``, ``"first"``, ``"last"`` or ``"max"``; None if it does not say.
        normalize: whether vectors have length 1; None if it does not say.
        limit: the largest number of tokens, special ones included; longer texts are truncated.
            None if it does not say.
    """

    pooling: str | None = None
    normalize: bool | None = None
    limit: int | None = None


def read_sentence_settings(folder: Path) -> SentenceSettings:
    """What the files in a model's folder say; nothing where there are none.

    Raises:
        CheckpointError: a file is damaged, or asks for what is not done here.
    """
    if not (folder / _MODULES).is_file():
        return SentenceSettings()
    modules = _modules(folder / _MODULES)
    pooling = modules.get("Pooling")
    return SentenceSettings(
        pooling=None if pooling is None else _pooling(folder / pooling / "config.json"),
        normalize="Normalize" in modules,
        limit=_limit(folder / "sentence_bert_config.json"),
    )


def _modules(path: Path) -> dict[str, str]:
    """The folder of each module by the name of its class."""
    try:
        listed = json.loads(path.read_text("utf-8"))
        modules = {str(m["type"]).rpartition(".")[2]: str(m["path"]) for m in listed}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path}: expected a list of modules: {error!r}") from error
    known = {"Transformer": "", "Pooling": None, "Normalize": None}
    for name, place in modules.items():
        if name not in known or known[name] not in (None, place):
            raise CheckpointError(
                f"{path}: expected the folder's own Transformer, a Pooling and a Normalize, "
                f"got {name!r} in {place!r}"
            )
    return modules


def _pooling(path: Path) -> str:
    config = read_object(path, required=True)
    mode: Any = config.get("pooling_mode")
    if mode is None:
        flags = [mode for flag, mode in _FLAGS.items() if config.get(flag)]
        mode = flags or "mean"
    if isinstance(mode, list) and len(mode) == 1:
        mode = mode[0]
    if not isinstance(mode, str) or mode not in _POOLINGS:
        raise CheckpointError(f"{path}: expected one of {', '.join(_POOLINGS)}, got {mode!r}")
    return _POOLINGS[mode]


def _limit(path: Path) -> int | None:
    limit = read_object(path, required=False).get("max_seq_length")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise CheckpointError(f"{path}: max_seq_length: expected 1 or more, got {limit!r}")
    return limit
