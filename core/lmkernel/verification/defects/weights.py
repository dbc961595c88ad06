"""Defects of the embedding, of the head, and of weights at the wrong place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.verification.defects.common import (
    Candidate,
    embedding_with,
    exchanged,
    zeroed,
)
from lmkernel.verification.running import Variant
from lmkernel.verification.structure import single_transformer, with_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig

    Values = dict[str, NDArray[Any]]

__all__ = ["end_defects", "order_defects", "weight_defects"]


def end_defects(config: ModelConfig) -> Iterator[Candidate]:
    """The embedding and the head: their factors, positions and bounds."""
    embedding, head = config.embedding, config.head
    root = embedding.width**0.5
    if embedding.scale != 1:
        words = "the scale of the embedding were missing"
        yield Candidate("embedding.scale", words, embedding_with(config, scale=1.0))
    else:
        words = "the embedding were scaled by the root of the width"
        yield Candidate("embedding.scale", words, embedding_with(config, scale=root))
    if embedding.positions == "learned":
        for by in (1, 2, -1):
            words = f"learned positions were off by {by:+d}"
            changed = Variant(change=_roll_positions(by))
            yield Candidate("embedding.positions", words, changed)
        words = "there were no learned positions"
        yield Candidate("embedding.no_positions", words, Variant(change=zeroed("positions.weight")))
    if embedding.segments:
        words = "the vector of the first segment were not added"
        yield Candidate("embedding.segments", words, Variant(change=zeroed("segments.weight")))
    if head is not None and head.softcap is not None:
        words = "the soft cap of logits were ignored"
        changed = Variant(config=replace(config, head=replace(head, softcap=None)))
        yield Candidate("head.softcap", words, changed)
    if head is not None and head.scale != 1:
        words = "the factor of logits were missing"
        changed = Variant(config=replace(config, head=replace(head, scale=1.0)))
        yield Candidate("head.scale", words, changed)


def weight_defects(config: ModelConfig) -> Iterator[Candidate]:
    """Weights and biases that were left out, exchanged or permuted."""
    _, stack = single_transformer(config)
    own = stack.attention
    if own.bias:
        words = "the biases of queries, keys and values were left out"
        zero = Variant(change=zeroed("attention.q.bias", "attention.k.bias", "attention.v.bias"))
        yield Candidate("attention.bias", words, zero)
    if own.out_bias:
        words = "the bias of attention's output were left out"
        yield Candidate("attention.out_bias", words, Variant(change=zeroed("attention.o.bias")))
    if stack.mlp.bias:
        words = "the MLP's biases were left out"
        names = ("mlp.gate.bias", "mlp.up.bias", "mlp.down.bias")
        yield Candidate("mlp.bias", words, Variant(change=zeroed(*names)))
    words = "keys and values were exchanged"
    yield Candidate(
        "attention.exchanged", words, Variant(change=exchanged("attention.k.", "attention.v."))
    )
    if own.kv_heads == own.heads:
        words = "queries and keys were exchanged"
        pair = exchanged("attention.q.", "attention.k.")
        yield Candidate("attention.exchanged", words, Variant(change=pair))
    words = "the two norms of a layer were exchanged"
    pair = exchanged("attention_norm.", "mlp_norm.")
    yield Candidate("norm.exchanged", words, Variant(change=pair))
    if config.embedding.rotary is not None:
        words = "the rows of queries and keys were permuted as for interleaved RoPE"
        permuted = Variant(change=_permute_heads(own.head_dim))
        yield Candidate("attention.permuted", words, permuted)
    if config.head is not None and config.head.bias:
        words = "the bias of the head were left out"
        yield Candidate("head.bias", words, Variant(change=zeroed("head.bias")))


def order_defects(config: ModelConfig) -> Iterator[Candidate]:
    """Layers that were left out, or stood in another order."""
    _, stack = single_transformer(config)
    count = stack.layers
    if count > 1:
        words = "the last layer were left out"
        yield Candidate("layers.last", words, Variant(config=with_layers(config, range(count - 1))))
        later = with_layers(config, range(1, count))
        first = Variant(config=later, layer_of=lambda i: i + 1)
        yield Candidate("layers.first", "the first layer were left out", first)
        order = sorted(range(count), key=str)
        if order != list(range(count)):
            words = "layers were sorted by name: 0, 1, 10, 11, …, 2"
            yield Candidate("layers.order", words, Variant(layer_of=lambda i: order[i]))
        last_first = Variant(layer_of=lambda i: count - 1 - i)
        yield Candidate("layers.reversed", "layers stood in reversed order", last_first)
        same = Variant(layer_of=lambda _: 0)
        yield Candidate("layers.shared", "every layer had the first one's weights", same)


def _roll_positions(by: int) -> Callable[[Values], Values]:
    def change(values: Values) -> Values:
        return {
            n: np.roll(x, -by, 0) if n == "embedding.positions.weight" else x
            for n, x in values.items()
        }

    return change


def _permute_heads(head_dim: int) -> Callable[[Values], Values]:
    """Rows of q and k as another convention of RoPE stores them."""

    def permute(x: NDArray[Any]) -> NDArray[Any]:
        heads = x.reshape(-1, 2, head_dim // 2, *x.shape[1:])
        return heads.swapaxes(1, 2).reshape(x.shape)

    def change(values: Values) -> Values:
        ends = (".q.weight", ".k.weight", ".q.bias", ".k.bias")
        return {n: permute(x) if n.endswith(ends) else x for n, x in values.items()}

    return change
