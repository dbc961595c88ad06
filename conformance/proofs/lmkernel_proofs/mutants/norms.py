"""Broken norms inside components: offsets of weights, outputs of blocks, queries and keys."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel.components import attention
from lmkernel.components.attention import join_heads, project_qkv, split_heads
from lmkernel.components.layer import TransformerLayer
from lmkernel.components.primitives import normalize, scale
from lmkernel.interfaces import Attention, Decoder
from lmkernel_proofs.mutants.changed import with_decoder
from lmkernel_proofs.mutants.mutant import Mutant, Patch, component
from lmkernel_proofs.mutants.wrappers import with_config

if TYPE_CHECKING:
    from lmkernel.config import TransformerConfig

__all__ = ["MUTANTS"]

_add, _products = TransformerLayer._add, attention._products  # noqa: SLF001 - what is broken


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


def _of_each_head(ops: Any, x: Any, params: Any, config: Any, rotation: Any = None) -> Any:
    """Each head has a mean square of its own, where the weights are of all heads together."""
    if not config.qk_norm_whole:
        return project_qkv(ops, x, params, config, rotation)
    q, k, v = _products(ops, x, params, config)

    def norm(made: Any, name: str, heads: int) -> Any:
        ones = ops.full((config.head_dim,), 1.0, ops.dtype(made))
        own = ops.rms_norm(split_heads(ops, made, heads), ones, config.qk_norm.eps)
        turned = split_heads(ops, join_heads(ops, own) * params[name]["weight"], heads)
        return turned if rotation is None else ops.rotate(turned, *rotation)

    queries = norm(q, "q_norm", config.heads)
    keys = norm(k, "k_norm", config.kv_heads)
    return queries, keys, split_heads(ops, v, config.kv_heads)


def _no_output_norm(config: TransformerConfig) -> TransformerConfig:
    """What a block gives is added as it is, where its input is normalised as well."""
    return replace(config, output_norm=False) if config.pre_norm else config


def _norm_before(
    own: Any, params: Any, name: str, x: Any, f: Any, key: Any, site: int, given: Any
) -> Any:
    """A block's norm is of what it reads, where it is that of what it gives."""
    ops, config = own._ops, own._config  # noqa: SLF001 - a method's
    if config.pre_norm or not config.output_norm:
        return _add(own, params, name, x, f, key, site, given)
    y = f(normalize(ops, given, params[f"{name}_output_norm"], config.norm))
    return x + scale(ops, y, config.residual_scale)


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
        patch=Patch("lmkernel.components.attention.normalize", _across_heads),
    ),
    Mutant(
        id="qk_norm.of_each_head",
        level="models",
        patch=Patch("lmkernel.components.attention.project_qkv", _of_each_head),
    ),
    Mutant(id="output_norm.ignored", level="components", make=with_decoder(_no_output_norm)),
    Mutant(
        id="output_norm.before",
        level="models",
        patch=Patch("lmkernel.components.layer.TransformerLayer._add", _norm_before),
    ),
)
