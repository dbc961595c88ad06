"""Defects of attention: its scale, who sees whom, and which heads belong together."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import AttentionConfig, DisentangledConfig, RelativeConfig
from lmkernel.verification.defects import operations as wrong
from lmkernel.verification.defects.common import (
    Candidate,
    attention_with,
    rewritten,
    stack_with,
    zeroed,
)
from lmkernel.verification.defects.delta import has_delta
from lmkernel.verification.one_run import Variant
from lmkernel.verification.structure import change_every, top_transformer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.config import ModelConfig, TransformerConfig

__all__ = ["attention_defects"]


def attention_defects(config: ModelConfig) -> Iterator[Candidate]:
    """Attention: its scale, who sees whom, and which heads belong together."""
    _, stack = top_transformer(config)
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
        words = "the linear biases of attention (ALiBi) had the other sign"
        yield Candidate("attention.alibi", words, attention_with(config, alibi=-own.alibi))
    if own.gated:
        words = "the gate of attention's output were left out"
        yield Candidate("attention.gate", words, Variant(change=_open_gates))
    if own.sinks:
        words = "the sinks of attention were ignored"
        yield Candidate("attention.sinks", words, attention_with(config, sinks=False))
    yield from _distance_defects(own, config)


def _distance_defects(own: AttentionConfig, config: ModelConfig) -> Iterator[Candidate]:
    """Biases and scores by distance."""
    if isinstance(own.relative, RelativeConfig):
        words = "the biases by distance were ignored"
        zero = Variant(change=zeroed("embedding.relative.weight"))
        yield Candidate("attention.relative", words, zero)
    elif own.relative is not None:
        both = own.relative.queries and own.relative.keys
        for name in ("queries", "keys") if both else ():
            words = f"{name} did not score distances"
            changed = change_every(config, DisentangledConfig, partial(replace, **{name: False}))
            yield Candidate("attention.distances", words, Variant(config=changed))
            # the scale of three terms, or of the two that are left
            scale = own.scale * (3 / 2) ** 0.5
            scaled = change_every(changed, AttentionConfig, partial(replace, scale=scale))
            words = f"{words}, and the scale were that of two terms"
            yield Candidate("attention.distances", words, Variant(config=scaled))
        words = "distances were not scored"
        zero = Variant(change=zeroed("embedding.relative.weight"))
        yield Candidate("attention.distances", words, zero)


def _open_gates(values: dict[str, Any]) -> dict[str, Any]:
    """Gates of one half everywhere, before a product of twice the size."""
    halves = zeroed("attention.gate.weight", "attention.gate.bias")(values)
    return rewritten(lambda x: 2 * x, "attention.o.weight")(halves)


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
        if not has_delta(stack):  # which is causal whatever a mask says
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
