"""The model in a GGUF file, in the vocabulary of a Hugging Face directory."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from lmkernel.checkpoints.directory import ModelFiles
from lmkernel.errors import CheckpointError
from lmkernel.families.family import find_family
from lmkernel.gguf.configuration import gguf_config, gguf_generation_config
from lmkernel.gguf.parts import open_parts
from lmkernel.gguf.tensors import GgufTensors
from lmkernel.gguf.tokenizer import gguf_tokenizer
from lmkernel.plugins import FamilySpec, default_registry

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.families.gguf_architecture import GgufArchitecture
    from lmkernel.gguf.file import GgufFile

__all__ = ["open_gguf"]


def open_gguf(path: Path) -> ModelFiles:
    """The model in a GGUF file, or in several of which it is one.

    Raises:
        CheckpointError: it is no such file, it is damaged, or no family reads its architecture.
    """
    file = open_parts(path)
    own = _architecture(file)
    config = gguf_config(file, own)
    return ModelFiles(
        path=path,
        config=config,
        tensors=GgufTensors(file, config, own),
        generation_config=gguf_generation_config(file),
        load_tokenizer=functools.cache(functools.partial(gguf_tokenizer, file)),
    )


def _architecture(file: GgufFile) -> GgufArchitecture:
    """How the family of this name says that its models lie in such a file."""
    name, families = file.architecture, default_registry().all(FamilySpec)
    own = find_family(name, str(file.path)).gguf() if name in families else None
    if own is None:
        readable = (n for n in families if find_family(n, str(file.path)).gguf())
        raise CheckpointError(
            f"{file.path}: general.architecture: expected one of "
            f"{', '.join(map(repr, readable))}, got {file.metadata.get('general.architecture')!r}"
        )
    return own
