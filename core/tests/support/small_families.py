"""Small checkpoints of any family, with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from small import HF_CONFIG, values_of

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.families.agreement import checkpoint_rules
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import from_ours
from lmkernel.families.sizes import Sizes
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

SIZES = Sizes(width=48, layers=2, heads=4, inner=64, context=40, vocab=61)


def written(folder: Path, family: str, **changes: Any) -> Path:
    """A folder with a small model of a family."""
    made = find_family(family, "a test")
    document = {"model_type": family, **made.new(SIZES), **changes}
    return _write(folder, document)


def small_llama(folder: Path, **changes: Any) -> Path:
    """A folder with a small Llama of grouped heads."""
    return _write(folder, {**HF_CONFIG, **changes})


def _write(folder: Path, document: dict[str, Any]) -> Path:
    family = find_family(document["model_type"], "a test")
    config = family.read(HfConfig(document))
    model = Model(load_backend("numpy"), config)
    tensors = from_ours(values_of(model), checkpoint_rules(family, config), model.declare())
    write_directory(folder, config=document, tensors=tensors, tokenizer=None)
    return folder


__all__ = ["small_llama", "written"]
