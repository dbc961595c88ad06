"""The declarations of components: shapes, initialisers, axes, and what may be packed or fused."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    MlpConfig,
    NormConfig,
    RecurrentConfig,
    TransformerConfig,
)
from lmkernel.parameters import flatten
from lmkernel_conformance.cases.case import case

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.subject import Subject

_ATTENTION = AttentionConfig(width=8, heads=4, kv_heads=2, head_dim=3, bias=True)
_DECLARED: Mapping[str, list[str]] = MappingProxyType(
    {
        "embedding": [
            "norm.weight (8,) zeros embed",
            "positions.weight (9, 8) normal 0.02 position/embed",
            "segments.weight (3, 8) normal 0.02 segment/embed",
            "tokens.weight (11, 8) normal 0.02 vocab/embed linear",
        ],
        "encoder": [
            "layers.0.attention.k.bias (6,) zeros kv qkv",
            "layers.0.attention.k.weight (6, 8) glorot_uniform kv/embed linear qkv",
            "layers.0.attention.o.weight (8, 12) glorot_uniform embed/heads linear",
            "layers.0.attention.q.bias (12,) zeros heads qkv",
            "layers.0.attention.q.weight (12, 8) glorot_uniform heads/embed linear qkv",
            "layers.0.attention.v.bias (6,) zeros kv qkv",
            "layers.0.attention.v.weight (6, 8) glorot_uniform kv/embed linear qkv",
            "layers.0.attention_norm.bias (8,) zeros embed",
            "layers.0.attention_norm.weight (8,) ones embed",
            "layers.0.mlp.down.bias (8,) zeros embed",
            "layers.0.mlp.down.weight (8, 5) glorot_uniform embed/mlp linear",
            "layers.0.mlp.up.bias (5,) zeros mlp",
            "layers.0.mlp.up.weight (5, 8) glorot_uniform mlp/embed linear",
            "layers.0.mlp_norm.bias (8,) zeros embed",
            "layers.0.mlp_norm.weight (8,) ones embed",
            "norm.bias (8,) zeros embed",
            "norm.weight (8,) ones embed",
        ],
        "decoder": [
            "layers.0.forward.input.bias (12,) zeros gates",
            "layers.0.forward.input.weight (12, 8) uniform 0.5 gates/embed linear",
            "layers.0.forward.state.bias (12,) zeros gates",
            "layers.0.forward.state.weight (12, 4) uniform 0.5 gates/state linear",
        ],
    }
)


@case(level="components", id="declared", dtypes=("float32",))
def stack_declarations(s: Subject) -> None:
    """Shapes, initialisers, axes and packing of all parameters that a stack declares."""
    norm = NormConfig(kind="layer", eps=1e-5)
    offset = NormConfig(kind="rms", eps=1e-5, offset=1.0)
    mlp = MlpConfig(hidden=5, gated=False, activation="gelu", bias=True)
    configs = {
        "embedding": EmbeddingConfig(
            width=8, vocab=11, positions="learned", context=7, offset=2, segments=3, norm=offset
        ),
        "encoder": TransformerConfig(width=8, layers=1, attention=_ATTENTION, mlp=mlp, norm=norm),
        "decoder": RecurrentConfig(input_width=8, width=4, layers=1, cell="gru"),
    }
    for interface, config in configs.items():
        params = flatten(s.factory.create(interface, config).declare())
        s.demand(
            interface,
            expected=_DECLARED[interface],
            got=sorted(map(_describe, params, params.values())),
        )


def _describe(name: str, p: Any) -> str:
    scale = f" {p.init.scale:g}" if p.init.kind in ("normal", "uniform") else ""
    linear = " linear" if p.linear else ""
    return f"{name} {p.shape} {p.init.kind}{scale} {'/'.join(p.axes)}{linear} {p.fuse}".strip()
