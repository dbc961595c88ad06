"""The declarations of components: shapes, initialisers, axes, and what may be packed or fused."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.config import (
    AttentionConfig,
    DisentangledConfig,
    EmbeddingConfig,
    ExpertsConfig,
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


_CHOSEN: Mapping[str, list[str]] = MappingProxyType(
    {
        "embedding": [
            "norm.weight (6,) ones embed",
            "project.bias (8,) zeros embed",
            "project.weight (8, 6) glorot_uniform embed/inner linear",
            "relative.weight (6, 8) normal 0.02 bucket/embed",
            "relative_norm.weight (8,) ones embed",
            "tokens.weight (11, 6) normal 0.02 vocab/inner linear",
        ],
        "encoder": [
            "layers.0.attention.k.weight (4, 8) glorot_uniform kv/embed linear",
            "layers.0.attention.k_norm.weight (4,) ones embed",
            "layers.0.attention.o.weight (8, 8) glorot_uniform embed/heads linear",
            "layers.0.attention.q.bias (8,) zeros heads",
            "layers.0.attention.q.weight (8, 8) glorot_uniform heads/embed linear",
            "layers.0.attention.q_norm.weight (8,) ones embed",
            "layers.0.attention.sinks (2,) zeros heads",
            "layers.0.attention.v.bias (4,) zeros kv",
            "layers.0.attention.v.weight (4, 8) glorot_uniform kv/embed linear",
            "layers.0.attention_norm.weight (8,) ones embed",
            "layers.0.attention_output_norm.weight (8,) ones embed",
            "layers.0.attention_scale.weight (8,) ones 0.1 embed",
            "layers.0.mlp.experts.down.bias (3, 8) zeros expert/embed",
            "layers.0.mlp.experts.down.weight (3, 8, 5) normal 0.447214 expert/embed/mlp",
            "layers.0.mlp.experts.gate.bias (3, 5) zeros expert/mlp",
            "layers.0.mlp.experts.gate.weight (3, 5, 8) normal 0.353553 expert/mlp/embed",
            "layers.0.mlp.experts.up.bias (3, 5) zeros expert/mlp",
            "layers.0.mlp.experts.up.weight (3, 5, 8) normal 0.353553 expert/mlp/embed",
            "layers.0.mlp.router.bias (3,) zeros expert",
            "layers.0.mlp.router.choice_bias (3,) zeros expert",
            "layers.0.mlp.router.weight (3, 8) normal 0.02 expert/embed linear",
            "layers.0.mlp.shared.down.bias (8,) zeros embed",
            "layers.0.mlp.shared.down.weight (8, 4) glorot_uniform embed/mlp linear",
            "layers.0.mlp.shared.gate.bias (4,) zeros mlp gate_up",
            "layers.0.mlp.shared.gate.weight (4, 8) glorot_uniform mlp/embed linear gate_up",
            "layers.0.mlp.shared.up.bias (4,) zeros mlp gate_up",
            "layers.0.mlp.shared.up.weight (4, 8) glorot_uniform mlp/embed linear gate_up",
            "layers.0.mlp.shared_gate.weight (1, 8) glorot_uniform shared/embed linear",
            "layers.0.mlp_norm.weight (8,) ones embed",
            "layers.0.mlp_output_norm.weight (8,) ones embed",
            "layers.0.mlp_scale.weight (8,) ones 0.1 embed",
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
    _demand(s, configs, _DECLARED)


@case(level="components", id="declared.chosen", dtypes=("float32",))
def chosen_declarations(s: Subject) -> None:
    """The same of what few families have: experts, factors of channels, distances, inner tables."""
    norm = NormConfig(kind="rms", eps=1e-5)
    experts = ExpertsConfig(
        count=3, chosen=2, hidden=5, router_bias=True, choice_bias=True, shared=4, shared_gate=True
    )
    attention = AttentionConfig(
        width=8, heads=2, kv_heads=1, sinks=True, bias=True, key_bias=False, qk_norm=norm,
        qk_norm_whole=True,
    )  # fmt: skip
    configs = {
        "embedding": EmbeddingConfig(
            width=8,
            vocab=11,
            inner=6,
            norm=norm,
            relative=DisentangledConfig(width=8, span=3, norm=norm),
        ),
        "encoder": TransformerConfig(
            width=8,
            layers=1,
            attention=attention,
            mlp=MlpConfig(hidden=5, bias=True, experts=experts),
            norm=norm,
            layer_scale=0.1,
            output_norm=True,
            final_norm=False,
        ),
    }
    _demand(s, configs, _CHOSEN)


def _demand(s: Subject, configs: Mapping[str, Any], wanted: Mapping[str, list[str]]) -> None:
    for interface, config in configs.items():
        params = flatten(s.factory.create(interface, config).declare())
        s.demand(
            interface,
            expected=wanted[interface],
            got=sorted(map(_describe, params, params.values())),
        )


def _describe(name: str, p: Any) -> str:
    scaled = p.init.kind in ("normal", "uniform") or p.init.scale != 1
    scale = f" {p.init.scale:g}" if scaled else ""
    linear = " linear" if p.linear else ""
    return f"{name} {p.shape} {p.init.kind}{scale} {'/'.join(p.axes)}{linear} {p.fuse}".strip()
