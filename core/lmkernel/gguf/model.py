"""The model in a GGUF file, in the vocabulary of a Hugging Face directory."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING

from lmkernel.checkpoints.directory import ModelFiles
from lmkernel.errors import CheckpointError, PluginError
from lmkernel.families.agreement import read_config
from lmkernel.families.family import find_family
from lmkernel.families.hf_config import HfConfig
from lmkernel.gguf.configuration import gguf_config, gguf_generation_config, own_metadata
from lmkernel.gguf.parts import open_parts
from lmkernel.gguf.tensors import GgufTensors
from lmkernel.gguf.tokenizer import gguf_tokenizer
from lmkernel.plugins import FamilySpec, default_registry

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.families.family import Family
    from lmkernel.families.gguf_architecture import GgufArchitecture
    from lmkernel.gguf.file import GgufFile

__all__ = ["open_gguf"]


def open_gguf(path: Path) -> ModelFiles:
    """The model in a GGUF file, or in several of which it is one.

    Raises:
        CheckpointError: it is no such file, it is damaged, or no family reads its architecture.
    """
    file = open_parts(path)
    model_type, family, own = _architecture(file)
    config = gguf_config(file, own, model_type, family)
    model = read_config(family, HfConfig(config, str(path)))
    return ModelFiles(
        path=path,
        config=config,
        tensors=GgufTensors(file, model_type, model, family),
        generation_config=gguf_generation_config(file),
        load_tokenizer=functools.cache(functools.partial(gguf_tokenizer, file)),
    )


def _architecture(file: GgufFile) -> tuple[str, Family, GgufArchitecture]:
    """The family that reads such a file, under its name, and how its models lie in one."""
    readable: dict[str, list[tuple[str, Family, GgufArchitecture]]] = {}
    for name in default_registry().all(FamilySpec):
        with contextlib.suppress(PluginError):  # one that cannot be imported has no layout
            family = find_family(name, str(file.path))
            if own := family.gguf():
                readable.setdefault(own.name or name, []).append((name, family, own))
    said = own_metadata(file)
    found = readable.get(file.architecture, [])
    special = [one for one in found if one[2].fits is not None and one[2].fits(said)]
    usual = [one for one in found if one[2].fits is None]
    if not special + usual:
        raise CheckpointError(
            f"{file.path}: general.architecture: expected one of "
            f"{', '.join(map(repr, sorted(readable)))}, got "
            f"{file.metadata.get('general.architecture')!r}"
        )
    return (special + usual)[0]
