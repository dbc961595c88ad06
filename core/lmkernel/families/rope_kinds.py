"""Two RoPEs in a configuration: of layers that see everything, and of those with a window.

transformers 5 keeps a dictionary for each kind of layer in ``rope_parameters``; before it, one base
or two stood beside one scaling, which is that of layers without a window.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel.errors import CheckpointError
from lmkernel.families.gated import decoder_of
from lmkernel.families.hf_config import HfConfig
from lmkernel.families.rope import read_rope, write_rope
from lmkernel.families.windows import FULL, SLIDING

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig

__all__ = ["read_rope_kinds", "rope_of_kind", "write_rope_kinds"]


def read_rope_kinds(config: HfConfig, theta: float, local: float) -> tuple[HfConfig, HfConfig]:
    """The configuration as that of whole layers has it, and as that of windows.

    Args:
        config: the configuration, with all its keys.
        theta: the base of whole layers where their dictionary has none.
        local: the base of windows where theirs has none.
    """
    both, scaling = config.part("rope_parameters"), config.part("rope_scaling")
    found = []
    for kind, base, more in ((FULL, theta, scaling), (SLIDING, local, None)):
        part = both.part(kind) if both is not None else None
        table = {"rope_type": "default", "rope_theta": base, **(part.values if part else {})}
        if more is not None:
            table |= more.values
        keys = {"rope_parameters": table, "rope_scaling": None, "rope_theta": base}
        found.append(HfConfig({**config.values, **keys}, config.where))
    return found[0], found[1]


def rope_of_kind(model: ModelConfig, local: HfConfig) -> ModelConfig:
    """A model with the RoPE of windows beside its own, as number 1."""
    head_dim = decoder_of(model).attention.head_dim
    rotary = read_rope(local, head_dim, model.context)
    return replace(model, embedding=replace(model.embedding, more_rotary=(rotary,)))


def write_rope_kinds(config: ModelConfig) -> dict[str, Any]:
    """The keys that `read_rope_kinds` reads, as transformers 5 has them.

    Raises:
        CheckpointError: there are more RoPEs than two, or fewer.
    """
    rotaries = config.embedding.rotaries
    if len(rotaries) != 2:  # noqa: PLR2004 - of whole layers, and of windows
        raise CheckpointError("expected two rotary embeddings")
    tables = {}
    for kind, rotary in zip((FULL, SLIDING), rotaries, strict=True):
        table = write_rope(rotary, config.context)["rope_scaling"] or {"rope_type": "default"}
        tables[kind] = {**table, "rope_theta": rotary.theta}
    return {**dict.fromkeys(("rope_theta", "rope_scaling")), "rope_parameters": tables}
