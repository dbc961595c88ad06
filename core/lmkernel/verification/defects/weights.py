"""Defects of weights: left out, exchanged, permuted, or in another layer."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.verification.defects.common import (
    Candidate,
    exchanged,
    rewritten,
    zeroed,
)
from lmkernel.verification.one_run import Variant
from lmkernel.verification.structure import top_transformer, with_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from lmkernel.config import AttentionConfig, ModelConfig
    from lmkernel.verification.defects.common import Values

__all__ = ["lost_defects", "order_defects", "weight_defects"]

_MOST = 8
"""So many layers are looked at where it is not known which."""
_PARTS = {"q": "queries", "k": "keys", "v": "values"}


def weight_defects(config: ModelConfig) -> Iterator[Candidate]:
    """Weights and biases that were left out, exchanged or permuted."""
    _, stack = top_transformer(config)
    own = stack.attention
    if own.bias:
        words = "the biases of queries, keys and values were left out"
        zero = Variant(change=zeroed("attention.q.bias", "attention.k.bias", "attention.v.bias"))
        yield Candidate("attention.bias", words, zero)
        for name, what in _PARTS.items():
            words = f"the bias of {what} were left out"
            yield Candidate("attention.bias", words, Variant(change=zeroed(f".{name}.bias")))
    if own.out_bias:
        words = "the bias of attention's output were left out"
        yield Candidate("attention.out_bias", words, Variant(change=zeroed("attention.o.bias")))
    if stack.mlp.bias:
        words = "the MLP's biases were left out"
        names = ("gate.bias", "up.bias", "down.bias")
        yield Candidate("mlp.bias", words, Variant(change=zeroed(*names)))
        for name in names if stack.mlp.gated else names[1:]:
            words = f"the MLP's {name.replace('.', ' ')} were left out"
            yield Candidate("mlp.bias", words, Variant(change=zeroed(name)))
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
    if config.embedding.rotary is not None and own.latent is None:
        words = "the rows of queries and keys were permuted as for interleaved RoPE"
        permuted = Variant(change=_permute_heads(own.head_dim))
        yield Candidate("attention.permuted", words, permuted)
    if own.latent is None:
        yield from _shape_defects(own)


def _shape_defects(own: AttentionConfig) -> Iterator[Candidate]:
    """Attention's matrices in another order or the wrong way round."""
    parts = {**_PARTS, "o": "the output"}
    square = own.heads * own.head_dim == own.width
    if square:
        names = [n for n in parts if n in "qo" or own.kv_heads == own.heads]
        for some in [names, *([n] for n in names)]:
            words = f"the matrices of {', '.join(parts[n] for n in some)} were transposed"
            ends = (f"attention.{n}.weight" for n in some)
            turned = Variant(change=rewritten(_transpose, *ends))
            yield Candidate("weights.transposed", words, turned)
    orders = (("across heads", own.head_dim, -1), ("by heads", -1, own.head_dim))
    for which, (way, *grid) in product(("qkv", "o"), orders):
        words = f"the elements of heads lay {way} in {', '.join(parts[n] for n in which)}"
        kinds = ("weight",) if which == "o" else ("weight", "bias")
        deal = partial(_deal_heads, grid=(grid[0], grid[1]), axis=int(which == "o"))
        ends = (f"attention.{n}.{kind}" for n in which for kind in kinds)
        yield Candidate("attention.order", words, Variant(change=rewritten(deal, *ends)))
    if own.kv_heads == own.heads:
        words = "queries, keys and values lay by heads, not one after the other"
        dealt = Variant(change=_deal_qkv(own.head_dim, whole=True))
        yield Candidate("attention.fused", words, dealt)
        words = "queries, keys and values lay one after the other, not by heads"
        dealt = Variant(change=_deal_qkv(own.head_dim, whole=False))
        yield Candidate("attention.fused", words, dealt)


def _transpose(x: NDArray[Any]) -> NDArray[Any]:
    return x.T if x.ndim == 2 and x.shape[0] == x.shape[1] else x  # noqa: PLR2004 - a matrix


def _deal_heads(x: NDArray[Any], grid: tuple[int, int], axis: int) -> NDArray[Any]:
    """Rows or columns that were written in the order of a grid, and are read down its columns."""
    moved = np.moveaxis(x, axis, 0)
    dealt = moved.reshape(*grid, *moved.shape[1:]).swapaxes(0, 1).reshape(moved.shape)
    return np.moveaxis(dealt, 0, axis)


def _deal_qkv(head_dim: int, *, whole: bool) -> Callable[[Values], Values]:
    """The rows of all three, written in one order and read in the other."""

    def change(values: Values) -> Values:
        made = dict(values)
        for q in values:
            if ".attention.q." not in q:
                continue
            names = [q, q.replace(".q.", ".k."), q.replace(".q.", ".v.")]
            if not values.keys() >= {*names}:
                continue  # keys may have no bias
            rows = np.stack([values[n] for n in names])
            heads = rows.reshape(3, -1, head_dim, *rows.shape[2:])
            count = heads.shape[1]
            if whole:  # three blocks in a row, read as three of each head
                dealt = heads.reshape(count, 3, *heads.shape[2:]).swapaxes(0, 1)
            else:
                dealt = heads.swapaxes(0, 1).reshape(heads.shape)
            made |= dict(zip(names, dealt.reshape(rows.shape), strict=True))
        return made

    return change


def order_defects(config: ModelConfig) -> Iterator[Candidate]:
    """Layers that were left out, or stood in another order."""
    _, stack = top_transformer(config)
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


def lost_defects(config: ModelConfig, first: int | None) -> Iterator[Candidate]:
    """Parts of one layer that were left out, and layers in each other's place.

    Args:
        config: the model.
        first: the layer at which the subject parts; None where that is not known.
    """
    _, stack = top_transformer(config)
    some = range(min(stack.layers, _MOST)) if first is None else [first]
    for i in some:
        for part, end, what in (("attention", "o", "attention"), ("mlp", "down", "the MLP")):
            zero = _zero_outputs(f"layers.{i}.{part}.", (f"{end}.weight", f"{end}.bias"))
            words = f"{what} of layer {i} were left out"
            yield Candidate("layers.part", words, Variant(change=zero))
        if i + 1 < stack.layers:
            words = f"layers {i} and {i + 1} stood in each other's place"
            swapped = Variant(layer_of=partial(_look_up, {i: i + 1, i + 1: i}))
            yield Candidate("layers.swapped", words, swapped)
            again = Variant(layer_of=partial(_look_up, {i + 1: i}))
            yield Candidate("layers.repeated", f"layer {i + 1} were layer {i} again", again)


def _look_up(places: Mapping[int, int], number: int) -> int:
    return places.get(number, number)


def _zero_outputs(part: str, ends: tuple[str, str]) -> Callable[[Values], Values]:
    """The last product of a part of one layer, and the bias after it, are zero."""

    def change(values: Values) -> Values:
        return {
            n: np.zeros_like(x) if part in n and n.endswith(ends) else x for n, x in values.items()
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
