"""The KV cache: written in pieces, grown and read in part, it gives what plain attention gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal
from lmkernel_conformance.oracle import attention as oracle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.contract.optional import Cache
    from lmkernel_conformance.subject import Subject

Host = Any

_BATCH, _HEADS, _KV, _WIDTH, _SLOTS = 2, 6, 3, 5, 7
_K = normal("cache.k", _BATCH, _KV, _SLOTS, _WIDTH)
_V = normal("cache.v", _BATCH, _KV, _SLOTS, _WIDTH)


def _write(s: Subject, cache: Cache, pieces: Sequence[tuple[int, int]]) -> Cache:
    """Write keys and values into the slots start … stop - 1 of each piece."""
    for start, stop in pieces:
        keys, values = (s.array(x[:, :, start:stop]) for x in (_K, _V))
        cache = s.ops.cache_append(cache, keys, values, s.ops.asarray(start, "int32"))
    return cache


def _check_attention(
    s: Subject,
    cache: Cache,
    time: int,
    extent: int,
    *,
    softcap: float | None = None,
    bias: Host = None,
) -> None:
    """Judge causal attention over the cache, from the last ``time`` of the written positions."""
    used = extent - 1
    where = np.array([range(used - time, used)] * _BATCH)
    slots = np.array([[*range(used), -1]] * _BATCH)
    mask = oracle.visible(where, slots, causal=True)
    q = normal(f"cache.q{time}", _BATCH, _HEADS, time, _WIDTH)
    options: dict[str, Any] = {"scale": 0.41, "softcap": softcap}
    more = {} if bias is None else {"bias": s.array(bias)}
    got = s.ops.cache_attend(cache, s.array(q), s.array(mask), extent=extent, **options, **more)
    hosts = s.round([q, _K[:, :, :extent], _V[:, :, :extent]])

    def formula(ar: Any) -> Host:
        queries, keys, values = map(ar.constant, hosts)
        known = None if bias is None else ar.constant(s.round(bias))
        return oracle.attention(ar, queries, keys, values, mask, bias=known, **options)

    s.agree("output", got, formula)


def _empty(s: Subject, capacity: int) -> Cache:
    return s.ops.cache_create(_BATCH, _KV, _WIDTH, capacity, s.dtype)  # type: ignore[arg-type]  # declared by the backend


@case(level="operations", id="cache.one_piece")
def one_piece(s: Subject) -> None:
    """All slots written at once; one slot beyond them that no query sees."""
    _check_attention(s, _write(s, _empty(s, 9), [(0, 5)]), 2, 6)


@case(level="operations", id="cache.in_pieces", rows=(25,))
def in_pieces(s: Subject) -> None:
    """A prompt of three, then one by one; the extent is less than the capacity."""
    pieces = [(0, 3), (3, 4), (4, 5), (5, 6)]
    _check_attention(s, _write(s, _empty(s, 11), pieces), 1, 7)


@case(level="operations", id="cache.softcap", rows=(25,))
def softcap(s: Subject) -> None:
    """The soft cap applies to attention over the cache too."""
    _check_attention(s, _write(s, _empty(s, 7), [(0, 6)]), 3, 7, softcap=0.8)


@case(level="operations", id="cache.softcap_and_bias", rows=(25,))
def softcap_and_bias(s: Subject) -> None:
    """Scores are bounded before a bias is added, over the cache too."""
    added = normal("cache.both", 1, _HEADS, 3, 7, scale=2)
    _check_attention(s, _write(s, _empty(s, 7), [(0, 6)]), 3, 7, softcap=0.5, bias=added)


@case(level="operations", id="cache.bias", rows=(25,))
def bias(s: Subject) -> None:
    """A bias for each head is added to the scores of attention over the cache too."""
    added = normal("cache.bias", 1, _HEADS, 3, 7, scale=2)
    _check_attention(s, _write(s, _empty(s, 8), [(0, 4), (4, 6)]), 3, 7, bias=added)


@case(level="operations", id="cache.grown", rows=(25,))
def growth(s: Subject) -> None:
    """Growing keeps the written slots, and the next ones are appended to them."""
    cache = s.ops.cache_grow(_write(s, _empty(s, 4), [(0, 3)]), 10)
    _check_attention(s, _write(s, cache, [(3, 5), (5, 6)]), 2, 7)


@case(level="operations", id="cache_update.float")
def update(s: Subject) -> None:
    """Values replace the slots from a start that is an array; the other slots stay."""
    for start in (0, 1, 3):
        host, values = normal("update", 2, 5, 3), normal("update.values", 2, 2, 3)
        got = s.ops.cache_update(s.array(host), s.array(values), s.ops.asarray(start, "int32"), 1)
        host[:, start : start + 2] = values
        s.equal(f"at {start}", got, s.round(host), s.dtype)


@case(level="operations", id="cache_update.int32", dtypes=("float32",))
def update_int32(s: Subject) -> None:
    """Positions are written in the same way, along the first axis too."""
    for axis, shape in ((0, (2, 4)), (1, (6, 1))):
        values = np.arange(8)[: shape[0] * shape[1]].reshape(shape)
        buffer = s.ops.full((6, 4), -1, "int32")
        got = s.ops.cache_update(buffer, s.array(values), s.ops.asarray(2, "int32"), axis)
        want = np.full((6, 4), -1)
        want[(slice(None),) * axis + (slice(2, 2 + shape[axis]),)] = values
        s.equal(f"axis {axis}", got, want, "int32")


@trial(id="cache_update.values", rows=(25,))
def update_values() -> Trial:
    """Gradients of values written into a buffer without gradient, along the last axis."""
    buffer = normal("update.still", 2, 3, 6)

    def formula(ar: Any, t: dict[str, Host]) -> Host:
        return ar.concat([t["buffer"][..., :1], t["values"], t["buffer"][..., 5:]], 2)

    return Trial(
        inputs={"values": normal("update.last", 2, 3, 4)},
        fixed={"buffer": buffer},
        native=lambda s, t: s.ops.cache_update(
            t["buffer"], t["values"], s.ops.asarray(1, "int32"), 2
        ),
        formula=formula,
        consumed=("buffer",),
    )


@trial(id="cache_update", rows=(25,))
def update_with_gradients() -> Trial:
    """Gradients of the values and of the buffer, where both are computed."""

    def native(s: Subject, t: dict[str, Any]) -> Any:
        buffer = t["buffer"] * t["buffer"]
        return s.ops.cache_update(buffer, t["values"], s.ops.asarray(3, "int32"), 1)

    def formula(ar: Any, t: dict[str, Host]) -> Host:
        buffer = t["buffer"] * t["buffer"]
        return ar.concat([buffer[:, :3], t["values"], buffer[:, 5:]], 1)

    return Trial(
        inputs={
            "buffer": normal("update.buffer", 2, 6, 3),
            "values": normal("update.written", 2, 2, 3),
        },
        native=native,
        formula=formula,
    )
