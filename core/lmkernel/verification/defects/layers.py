"""Defects inside a layer: norms, attention, the MLP."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lmkernel.config import AttentionConfig
from lmkernel.verification.defects import operations as wrong
from lmkernel.verification.defects.common import (
    Candidate,
    attention_with,
    exchanged,
    mlp_with,
    norms_with,
    stack_with,
)
from lmkernel.verification.running import Variant
from lmkernel.verification.structure import change_every, single_transformer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.config import ModelConfig, TransformerConfig

__all__ = ["attention_defects", "mlp_defects", "norm_defects"]


def norm_defects(config: ModelConfig) -> Iterator[Candidate]:
    """Norms: their epsilon, weight and kind, and whether they are there."""
    _, stack = single_transformer(config)
    norm, attention = stack.norm, stack.attention
    for eps in (1e-3, 1e-5, 1e-6, 1e-8, 1e-12):
        if eps != norm.eps:
            words = f"the norms' epsilon were {eps:g} instead of {norm.eps:g}"
            yield Candidate("norm.eps", words, norms_with(config, eps=eps))
    own, name = (
        (wrong.rms_eps_outside, "rms_norm")
        if norm.kind == "rms"
        else (wrong.layer_eps_outside, "layer_norm")
    )
    words = "the norms' epsilon were added outside the root"
    yield Candidate("norm.eps_outside", words, Variant(operations={name: own}))
    offset = 0.0 if norm.offset else 1.0
    words = f"the norms' weight were {'1 + w instead of w' if offset else 'w instead of 1 + w'}"
    yield Candidate("norm.offset", words, norms_with(config, offset=offset))
    if norm.kind == "rms":
        words = "the norms subtracted the mean: a layer norm for an RMS norm"
        yield Candidate("norm.kind", words, Variant(operations={"rms_norm": wrong.rms_as_layer}))
    else:
        words = "the norms did not subtract the mean: an RMS norm for a layer norm"
        yield Candidate("norm.kind", words, Variant(operations={"layer_norm": wrong.layer_as_rms}))
        words = "the variance of norms were divided by n - 1"
        yield Candidate(
            "norm.bessel", words, Variant(operations={"layer_norm": wrong.layer_bessel})
        )
    if stack.final_norm:
        words = "the final norm were left out"
        yield Candidate("norm.final", words, stack_with(config, final_norm=False))
    if attention.qk_norm is not None:
        words = "queries and keys were not normalised"
        yield Candidate("norm.qk", words, attention_with(config, qk_norm=None))
    if stack.residual_scale != 1:
        words = "the outputs of sublayers were added without their factor"
        yield Candidate("layer.residual_scale", words, stack_with(config, residual_scale=1.0))


def attention_defects(config: ModelConfig) -> Iterator[Candidate]:
    """Attention: its scale, who sees whom, and which heads belong together."""
    _, stack = single_transformer(config)
    yield from _scale_defects(stack.attention, config)
    yield from _mask_defects(stack, config)
    own = stack.attention
    if 1 < own.kv_heads < own.heads:
        words = "query head h used key head h mod kv_heads instead of h // group"
        yield Candidate(
            "attention.groups", words, Variant(operations={"attention": wrong.stride_heads})
        )
    if own.softcap is not None:
        words = "the soft cap of scores were ignored"
        yield Candidate("attention.softcap", words, attention_with(config, softcap=None))
    if own.alibi:
        words = "the linear biases of attention (ALiBi) were ignored"
        yield Candidate("attention.alibi", words, attention_with(config, alibi=0.0))


def _scale_defects(own: AttentionConfig, config: ModelConfig) -> Iterator[Candidate]:
    scales = {
        "1": 1.0,
        "the width of the model ^ -½": own.width**-0.5,
        "the size of a head ^ -½": own.head_dim**-0.5,
        "the size of a head ^ -1": 1 / own.head_dim,
        "its square": own.scale**2,
        "(width / heads) ^ -½": (own.width / own.heads) ** -0.5,
        "the size of all key heads ^ -½": (own.kv_heads * own.head_dim) ** -0.5,
    }
    for words, scale in scales.items():
        if not np.isclose(scale, own.scale, rtol=1e-12):
            text = f"the scale of attention were {words} ({scale:.4g} instead of {own.scale:.4g})"
            yield Candidate("attention.scale", text, attention_with(config, scale=scale))


def _mask_defects(stack: TransformerConfig, config: ModelConfig) -> Iterator[Candidate]:
    if stack.causal:
        words = "attention were not causal"
        yield Candidate("attention.causal", words, stack_with(config, causal=False))
        words = "a position did not see itself: the causal mask is off by one"
        yield Candidate(
            "attention.strict", words, Variant(operations={"attention": wrong.hide_itself})
        )
        words = "a position saw the next one: the causal mask is off by one"
        yield Candidate("attention.late", words, Variant(operations={"attention": wrong.show_next}))
    else:
        words = "attention were causal"
        yield Candidate("attention.causal", words, stack_with(config, causal=True))
    windows = {stack.layer(i).attention.window for i in range(stack.layers)}
    if windows == {None}:
        return
    words = "the sliding window were ignored"
    yield Candidate("attention.window", words, attention_with(config, window=None))
    for window in windows - {None} if len(windows) > 1 else ():
        words = f"every layer had the window of {window}"
        yield Candidate("attention.window", words, attention_with(config, window=window))
    for more in (1, -1):
        words = f"a sliding window of n were one of n {more:+d}"
        yield Candidate("attention.window", words, _windows_by(config, more))


def _windows_by(config: ModelConfig, more: int) -> Variant:
    def change(own: AttentionConfig) -> AttentionConfig:
        return replace(own, window=own.window and max(1, own.window + more))

    return Variant(config=change_every(config, AttentionConfig, change))


def mlp_defects(config: ModelConfig) -> Iterator[Candidate]:
    """The MLP: its activation, and which product is which."""
    _, stack = single_transformer(config)
    names = {"gelu": "erf GELU", "gelu_tanh": "tanh GELU", "silu": "SiLU", "relu": "ReLU"}
    used = stack.mlp.activation
    for other, words in names.items():
        if other != used:
            text = f"the MLP's activation were {words} instead of {names.get(used, used)}"
            yield Candidate("mlp.activation", text, mlp_with(config, activation=other))
    if stack.mlp.gated:
        words = "the MLP's gate and up were exchanged"
        yield Candidate("mlp.exchanged", words, Variant(change=exchanged("mlp.gate.", "mlp.up.")))
