"""Broken norms inside components: the offset of a weight, and the norms of queries and keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

from lmkernel.components.attention import join_heads, split_heads
from lmkernel.interfaces import Attention, Decoder
from lmkernel_proofs.mutants.mutant import Mutant, component
from lmkernel_proofs.mutants.wrappers import with_config

__all__ = ["MUTANTS"]


def _no_offset(config: Any) -> Any:
    """The weight is used as it is stored, although the family stores w - 1."""
    return replace(config, norm=replace(config.norm, offset=0.0))


def _no_qk_norm(config: Any) -> Any:
    """Queries and keys are not normalised, although there are weights for it."""
    return replace(config, qk_norm=None)


def _across_heads(ops: Any, x: Any, params: Any, config: Any) -> Any:
    """One mean square is taken over all heads of a position."""
    heads, dtype = x.shape[1], ops.dtype(x)
    joined = join_heads(ops, x)
    ones = ops.full((joined.shape[-1],), 1.0, dtype)
    wide = split_heads(ops, ops.rms_norm(joined, ones, config.eps), heads)
    return wide * (params["weight"] + ops.full((), config.offset, dtype))


MUTANTS = (
    Mutant(
        id="norm.offset_ignored",
        level="models",
        make=component(
            "decoder:transformer", with_config(Decoder, "decoder", "transformer", _no_offset)
        ),
        row=16,
        seen="Liger-Kernel#74",
    ),
    Mutant(
        id="qk_norm.ignored",
        level="components",
        make=component(
            "attention:multi_head", with_config(Attention, "attention", "multi_head", _no_qk_norm)
        ),
    ),
    Mutant(
        id="qk_norm.across_heads",
        level="components",
        make=lambda backend: backend,
        patch=lambda: mock.patch("lmkernel.components.attention.normalize", _across_heads),
    ),
)
