"""Beyond the numbers and extents of the other cases, each exact: what kernels do only there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.inputs import normal

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

__all__ = ["whole_numbers"]

_LARGE = 2**24 + 1
"""The first whole number that float32 does not hold."""
_ALL = ("float32", "float64", "bfloat16", "float16")


def whole_numbers(*shape: int) -> Any:
    """Small whole numbers, whose products and sums are exact."""
    return np.round(normal("beyond.whole", *shape, scale=2)).clip(-4, 4)


@case(level="operations", id="beyond.integers", dtypes=("float32",))
def integers(s: Subject) -> None:
    """Integers keep all their digits, also those that float32 does not have."""
    ops: Any = s.ops
    x = np.array([[_LARGE, 2**31 - 2, -_LARGE], [_LARGE + 1, 2**31 - 1, -_LARGE - 1]])
    a, b, native = s.array(x[0]), s.array(x[1]), s.array(x)
    results = {
        "minimum": (ops.minimum(a, b), x.min(0)),
        "maximum": (ops.maximum(a, b), x.max(0)),
        "max": (ops.max(native, 0), x.max(0)),
        "argmax": (ops.argmax(native, 0), x.argmax(0)),
        "sum": (ops.sum(native[:, 2:], 0), x[:, 2:].sum(0)),
        "where": (ops.where(a > b, a, b), x.max(0)),
        "concat": (ops.concat([a, b], 0), x.reshape(-1)),
        "broadcast_to": (ops.broadcast_to(a, (2, 3)), x[[0, 0]]),
        "reshape": (ops.reshape(native, (3, 2)), x.reshape(3, 2)),
        "permute_dims": (ops.permute_dims(native, (1, 0)), x.T),
        "take": (ops.take(a, s.array(np.array([2, 0])), 0), x[0, [2, 0]]),
        "arange": (ops.arange(_LARGE - 2, _LARGE + 3, "int32"), np.arange(_LARGE - 2, _LARGE + 3)),
        "full": (ops.full((2,), _LARGE, "int32"), [_LARGE, _LARGE]),
        "cache_update": (
            ops.cache_update(s.array(x[1]), a[:1], ops.asarray(1, "int32"), 0),
            [x[1, 0], _LARGE, x[1, 2]],
        ),
    }
    for name, (got, want) in results.items():
        s.equal(name, got, want, "int32")


@case(level="operations", id="beyond.shapes", dtypes=_ALL)
def shapes(s: Subject) -> None:
    """Arrays of five axes are permuted, and rows of booleans repeated."""
    ops: Any = s.ops
    x = whole_numbers(2, 3, 1, 4, 2)
    for axes in ((1, 2, 3, 4, 0), (4, 0, 3, 1, 2)):
        s.equal(f"permuted {axes}", ops.permute_dims(s.array(x), axes), x.transpose(axes), s.dtype)
    flags = np.array([True, False, True])
    got = ops.broadcast_to(s.array(flags), (2, 2, 3))
    s.equal("booleans", got, np.broadcast_to(flags, (2, 2, 3)), "bool")
    host = np.asfortranarray(whole_numbers(2, 3, 4))
    s.equal("column-major", ops.asarray(host, s.dtype), host, s.dtype)


@case(level="operations", id="beyond.reductions")
def reductions(s: Subject) -> None:
    """The largest of numbers far below zero is one of them."""
    low = s.round(np.array([[-2e35, -1e35, -3e35], [-np.inf, -4e37, -np.inf]]))
    s.equal("max", s.ops.max(s.array(low), 1), low.max(1), s.dtype)
    s.equal("kept", s.ops.max(s.array(low), 1, keepdims=True), low.max(1, keepdims=True), s.dtype)


@case(level="operations", id="beyond.products")
def products(s: Subject) -> None:
    """Many leading rows, four axes, and a difference of rank one, in whole numbers."""
    ops: Any = s.ops
    x, y = whole_numbers(5, 3, 4), whole_numbers(5, 4, 2)
    s.equal("five products", ops.matmul(s.array(x), s.array(y)), x @ y, s.dtype)
    wide, weight = whole_numbers(2, 2, 3, 4), whole_numbers(5, 4)
    down, up = whole_numbers(1, 4), whole_numbers(5, 1)
    want = wide @ weight.T + wide @ down.T @ up.T
    delta = (s.array(down), s.array(up))
    got = ops.linear(s.array(wide), s.array(weight), None, delta)
    s.equal("with a difference", got, want, s.dtype)


@case(level="operations", id="beyond.cache", dtypes=_ALL)
def cache(s: Subject) -> None:
    """Slots are written up to the last of many, for every row and head."""
    ops: Any = s.ops
    trials = ((1, 129, 1, 128), (2, 64, 1, 63), (2, 40, 9, 31), (1, 16, 3, 0))
    for count, slots, new, start in trials:
        host, values = whole_numbers(count, 3, slots, 2), whole_numbers(count, 3, new, 2)
        got = ops.cache_update(s.array(host), s.array(values), ops.asarray(start, "int32"), 2)
        host[:, :, start : start + new] = values
        s.equal(f"{count} rows, {new} of {slots} slots from {start}", got, host, s.dtype)


@case(level="operations", id="beyond.losses", dtypes=_ALL, rows=(19,))
def losses(s: Subject) -> None:
    """Any negative target is ignored, whatever its row holds."""
    x = whole_numbers(5, 7)
    x[1] = np.nan
    targets = s.array(np.array([-1, -2, -7, -100, -(2**31)]))
    for smoothing in (0.0, 0.1):
        got = s.ops.cross_entropy(s.array(x), targets, smoothing)
        s.equal(f"smoothing {smoothing}", got, np.zeros(5), s.dtype)


@case(level="operations", id="beyond.mse")
def mse(s: Subject) -> None:
    """The mean is of all numbers, be there one or thousands."""
    for count, difference in ((1, 2.0), (8192, 3.0)):
        x = s.array(np.full((count, 1), 1.0 + difference))
        got = s.ops.mse(x, s.array(np.ones((count, 1))))
        s.equal(f"of {count}", got, difference**2, s.dtype)


@case(level="operations", id="beyond.attention", dtypes=_ALL)
def attention(s: Subject) -> None:
    """A query that sees none of one slot gives zeros, and one that sees it gives its value."""
    q, k, v = whole_numbers(2, 2, 3, 4), whole_numbers(2, 2, 1, 4), whole_numbers(2, 2, 1, 1)
    mask = np.array([[[[True], [False], [True]]], [[[False], [False], [True]]]])
    got = s.ops.attention(s.array(q), s.array(k), s.array(v), s.array(mask), scale=0.5)
    s.equal("values", got, np.where(mask, v, 0.0), s.dtype)


@case(level="operations", id="beyond.attention.bias")
def biased_attention(s: Subject) -> None:
    """A bias may hide a slot by its size, be the same for all slots, and scales be negative."""
    ops: Any = s.ops
    q, k, v = np.zeros((1, 2, 3, 4)), whole_numbers(1, 2, 4, 4), whole_numbers(1, 2, 4, 3)
    arrays = [s.array(x) for x in (q, k, v)]
    far = np.where(np.arange(4) == 1, 0.0, -1e4) * np.ones((1, 2, 3, 4))
    got = ops.attention(*arrays, None, scale=0.5, bias=s.array(far))
    s.equal("one slot", got, np.broadcast_to(v[:, :, 1:2], (1, 2, 3, 3)), s.dtype)
    same = s.array(whole_numbers(1, 2, 3, 1))
    got = ops.attention(*arrays, None, scale=0.5, bias=same)
    s.equal("all alike", got, np.broadcast_to(v.mean(2, keepdims=True), (1, 2, 3, 3)), s.dtype)
    sharp = 1e4 * np.ones((1, 2, 1, 1))
    keys = np.arange(1.0, 5.0).reshape(1, 1, 4, 1) * np.ones((1, 2, 4, 1))
    given = (s.array(sharp), s.array(keys), arrays[2], None)
    s.equal("the largest", ops.attention(*given, scale=1.0), v[:, :, 3:], s.dtype)
    s.equal("the smallest", ops.attention(*given, scale=-1.0), v[:, :, :1], s.dtype)


@case(level="operations", id="beyond.rotate")
def rotate(s: Subject) -> None:
    """What lies behind the turned halves stays, be it of any length."""
    half, turned = np.zeros((2, 1, 3, 2)), np.ones((2, 1, 3, 2))
    for rest in (1, 3):
        x = whole_numbers(2, 2, 3, 4 + rest)
        got = s.ops.rotate(s.array(x), s.array(half), s.array(turned))
        want = np.concatenate([-x[..., 2:4], x[..., :2], x[..., 4:]], -1)
        s.equal(f"{rest} behind", got, want, s.dtype)


@case(level="operations", id="beyond.recurrent")
def recurrent(s: Subject) -> None:
    """Gates may be shut and open wholly, and states be large; to four digits."""
    ops: Any = s.ops
    c, h = np.array([[80.0, -300.0]]), np.array([[3.0, -2.0]])
    open_, shut = np.full((1, 2), 1e3), np.full((1, 2), -1e3)
    gates = np.concatenate([shut, open_, np.zeros((1, 2)), open_], 1)
    weight = s.array(np.zeros((8, 2)))
    got_h, got_c = ops.lstm_cell(s.array(gates), s.array(h), s.array(c), weight, None)
    s.equal("kept", np.round(s.host(got_c) / c, 4), np.ones((1, 2)))
    s.equal("shown", np.round(s.host(got_h), 4), np.sign(c))
    for gate, new, want in ((shut, open_, np.ones((1, 2))), (open_, open_, h)):
        x = np.concatenate([shut, gate, new], 1)
        got = ops.gru_cell(s.array(x), s.array(h), s.array(np.zeros((6, 2))), None)
        s.equal(f"gated by {gate[0, 0]:g}", np.round(s.host(got), 4), want)


@case(level="operations", id="beyond.pieces", dtypes=_ALL)
def pieces(s: Subject) -> None:
    """A cache takes pieces of any length, one after the other."""
    ops: Any = s.ops
    k, v = whole_numbers(2, 3, 26, 1), whole_numbers(2, 3, 26, 1)
    cache = ops.cache_create(2, 3, 1, 26, s.dtype)
    for first, last in ((0, 9), (9, 25), (25, 26)):
        keys, values = (s.array(x[:, :, first:last]) for x in (k, v))
        cache = ops.cache_append(cache, keys, values, ops.asarray(first, "int32"))
    q = s.array(np.zeros((2, 3, 1, 1)))
    for slot in (0, 8, 9, 10, 24, 25):
        mask = s.array((np.arange(26) == slot)[None, None, None, :] & np.ones((2, 1, 1, 1), bool))
        got = ops.cache_attend(cache, q, mask, extent=26, scale=1.0)
        s.equal(f"slot {slot}", got, v[:, :, slot : slot + 1], s.dtype)


@case(level="operations", id="beyond.dropout")
def dropout(s: Subject) -> None:
    """The elements of a row of three axes are dropped one by one."""
    x = s.array(np.ones((2, 3, 64)))
    got = s.host(s.ops.dropout(x, s.ops.asarray([5, 6], "int32"), 0.5))
    s.equal("each row has both", ((got == 0).any(-1) & (got != 0).any(-1)), np.ones((2, 3)))


@case(level="operations", id="beyond.scan")
def scan(s: Subject) -> None:
    """A scan within a scan of the other direction keeps its own; integers are carried whole."""
    ops: Any = s.ops
    x = np.arange(1.0, 7.0).reshape(2, 3)

    def inner(carry: Any, value: Any) -> tuple[Any, Any]:
        carry = carry * 2 + value
        return carry, carry

    def outer(carry: Any, row: Any) -> tuple[Any, Any]:
        _, made = ops.scan(inner, carry["sum"], row)
        return {"sum": carry["sum"] + made[2], "count": carry["count"] + 2}, made

    begin = {"sum": s.constant(1.0), "count": ops.full((), _LARGE, "int32")}
    end, made = ops.scan(outer, begin, s.array(x), reverse=True)
    total, want = 1.0, np.zeros((2, 3))
    for i in (1, 0):
        carry = total
        for j in range(3):
            carry = carry * 2 + x[i, j]
            want[i, j] = carry
        total += carry
    s.equal("made", made, want, s.dtype)
    s.equal("carried", end["sum"], total, s.dtype)
    s.equal("counted", end["count"], _LARGE + 4, "int32")
