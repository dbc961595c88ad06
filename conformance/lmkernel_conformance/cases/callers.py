"""What a caller may do with what it gave and got, and calls that look alike; each exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.contract.blocks import Blocks
from lmkernel_conformance.cases.beyond import whole_numbers
from lmkernel_conformance.cases.case import case

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

_ROWS = ("softmax", "log_softmax", "relu", "silu", "gelu", "gelu_tanh", "swiglu")
_ELEMENTS = ("exp", "tanh", "sigmoid", "erf", "cos", "sin")


@case(level="operations", id="callers.zeros")
def zeros(s: Subject) -> None:
    """A zero has the sign that was asked for, whichever was asked for before."""
    for shape in ((), (3,), (2, 2)):
        for value in (0.0, -0.0, 0.0):
            got = np.asarray(np.signbit(s.host(s.ops.full(shape, value, s.dtype))))  # type: ignore[arg-type]  # declared by the backend
            s.equal(f"{shape} of {value}", got, np.full(shape, np.signbit(value)))


@case(level="operations", id="callers.hosts", dtypes=("float32",))
def hosts(s: Subject) -> None:
    """What came to the host belongs to the caller, of integers and booleans too."""
    ops: Any = s.ops
    for dtype, value in (("int32", 7), ("bool", True), ("float32", 7.0)):
        native = ops.full((4,), value, dtype)
        host = ops.to_numpy(native)
        if host.flags.writeable:
            host[...] = 0
        s.equal(dtype, native, np.full(4, value), dtype)


@case(level="operations", id="callers.lists")
def lists(s: Subject) -> None:
    """Numbers in lists, however deep, have all digits of the dtype that is asked for."""
    values = [[0.1, 1 / 3], [1e-30, 16777217.0]]
    for given in (values, tuple(map(tuple, values)), values[0]):
        want = s.round(np.array(given))
        s.equal(f"{type(given).__name__}", s.ops.asarray(given, s.dtype), want, s.dtype)  # type: ignore[arg-type]  # declared by the backend


@case(level="operations", id="callers.truths", dtypes=("float32",))
def truths(s: Subject) -> None:
    """Every number that is not zero is true, whichever of its bits are set."""
    whole = np.array([0, 1, -1, 255, 256, 512, 65536, 2**30, -(2**31)])
    s.equal("integers", s.ops.astype(s.array(whole), "bool"), whole != 0, "bool")
    parts = np.array([0.0, -0.0, 0.25, -0.25, 1e-30, 256.0, np.inf])
    s.equal("numbers", s.ops.astype(s.array(parts), "bool"), parts != 0, "bool")


@case(level="operations", id="callers.constant")
def constant(s: Subject) -> None:
    """A compiled function without arguments gives what may be consumed, again and again."""
    ops: Any = s.ops
    new = ops.compile(lambda: ops.full((4,), 0.0, s.dtype))
    for value in (1.0, 2.0):
        begin = new()
        s.equal("new", begin, np.zeros(4), s.dtype)
        part, start = s.array(np.full(2, value)), ops.asarray(1, "int32")
        got = ops.cache_update(begin, part, start, 0)
        s.equal("written", got, [0, value, value, 0], s.dtype)


@case(level="operations", id="callers.values")
def values(s: Subject) -> None:
    """What was written into a buffer stays the caller's, be it as large as the buffer."""
    ops: Any = s.ops
    x, y = whole_numbers(4, 2), whole_numbers(4, 2) + 9
    for rows in (4, 2):
        given, start = s.array(x), ops.asarray(0, "int32")
        buffer = ops.cache_update(s.array(np.zeros((4, 2))), given, start, 0)
        buffer = ops.cache_update(buffer, s.array(y[:rows]), start, 0)
        want = np.concatenate([y[:rows], x[rows:]])
        s.equal(f"buffer after {rows}", buffer, want, s.dtype)
        s.equal(f"values after {rows}", given, x, s.dtype)


@case(level="operations", id="callers.large")
def large(s: Subject) -> None:
    """Arguments are what they were, be they large."""
    ops: Any = s.ops
    x = np.ones((70, 64))
    for name in (*_ROWS, *_ELEMENTS):
        given = s.array(x)
        getattr(ops, name)(given)
        s.equal(name, given, x, s.dtype)


@case(level="operations", id="callers.turned")
def turned(s: Subject) -> None:
    """Functions of permuted and cut arrays are those of their elements; to a hundredth."""
    ops: Any = s.ops
    x = whole_numbers(2, 3, 4) / 2
    for axes in ((1, 0, 2), (2, 0, 1), (0, 2, 1), (2, 1, 0)):
        native = ops.permute_dims(s.array(x), axes)
        host = np.ascontiguousarray(x.transpose(axes))
        for name in (*_ELEMENTS, "relu", "silu", "gelu", "gelu_tanh"):
            plain = s.host(getattr(ops, name)(s.array(host))).astype(float)
            got = s.host(getattr(ops, name)(native)).astype(float)
            s.equal(f"{name}, {axes}", np.round(got, 2), np.round(plain, 2))


@case(level="operations", id="callers.packed")
def packed(s: Subject) -> None:
    """Weights that begin alike are packed each by itself."""
    ops: Any = s.ops
    x = whole_numbers(3, 4)
    begin = whole_numbers(1, 4)
    for i in range(3):
        weight = np.concatenate([begin, whole_numbers(5, 4) + i])
        got = ops.linear(s.array(x), ops.pack_linear(s.array(weight)))
        s.equal(f"weight {i}", got, x @ weight.T, s.dtype)


@case(level="operations", id="callers.bits", dtypes=("float32",))
def bits(s: Subject) -> None:
    """Fields stand beside each other along the last axis, of however many axes."""
    whole = np.arange(1, 25).reshape(2, 3, 4) * 257 + 3
    for shape in ((24,), (6, 4), (2, 3, 4), (1, 2, 3, 4)):
        x = whole.reshape(shape)
        for width in (4, 8, 16):
            fields = [x >> at & (1 << width) - 1 for at in range(0, 32, width)]
            want = np.stack(fields, -1).reshape(*shape[:-1], -1)
            s.equal(f"{width} bits of {shape}", s.ops.unpack_bits(s.array(x), width), want, "int32")


@case(level="operations", id="callers.zero_points")
def zero_points(s: Subject) -> None:
    """Zero points of zero are zero points: each code counts from there."""
    scales = np.array([[0.5, 2.0], [1.0, 0.25]], np.float32)
    whole = (np.arange(2 * 16) * 7 % 251).astype(np.uint8).reshape(2, 16)
    few = whole & 15
    nibbles = (few[:, ::2] | few[:, 1::2] << 4).astype(np.uint8)
    stored = {"int8": (whole, whole), "int4": (few, nibbles)}
    for point in (0, 3):
        zeros = np.full((2, 2), point, np.uint8)
        for kind, (codes, packed_codes) in stored.items():
            groups = codes.astype(float).reshape(2, 2, 8)
            want = ((groups - point) * scales[..., None]).reshape(2, 16)
            blocks = Blocks(kind, (2, 16), packed_codes, scales, zeros)
            handle = s.ops.pack_blocks(blocks, s.dtype)  # type: ignore[arg-type]  # declared by the backend
            got = s.ops.linear(s.array(np.eye(16)), handle)
            s.equal(f"{kind} from {point}", got, want.T, s.dtype)


@case(level="operations", id="callers.far")
def far(s: Subject) -> None:
    """Differences of neighbours are as exact far from zero; the largest numbers stay."""
    y, t = np.array([1000.125, 1000.25]), np.array([1000.0, 1000.0])
    s.equal("mean square", s.ops.mse(s.array(y), s.array(t)), (0.125**2 + 0.25**2) / 2, s.dtype)
    top = float(np.finfo(s.dtype).max)
    x = np.array([top, -top, top / 2, -1.0, 0.0])
    s.equal("relu", s.ops.relu(s.array(x)), np.maximum(x, 0), s.dtype)


@case(level="operations", id="callers.scores")
def scores(s: Subject) -> None:
    """A scale of zero makes all keys alike; bounded scores may be large. To three digits."""
    v = 4 * whole_numbers(1, 2, 4, 3)
    q, k = 8 * whole_numbers(1, 2, 2, 3), 8 * whole_numbers(1, 2, 4, 3) + 1
    got = s.ops.attention(s.array(q), s.array(k), s.array(v), None, scale=0.0)
    mean = np.broadcast_to(v.mean(2, keepdims=True), (1, 2, 2, 3))
    s.equal("without a scale", np.round(s.host(got).astype(float), 3), mean)
    ones = np.ones((1, 2, 4, 3))
    both = s.ops.attention(
        s.array(ones[:, :, :2] * 400), s.array(ones), s.array(v), None, scale=1.0, softcap=300.0
    )
    s.equal("bounded", np.round(s.host(both).astype(float), 3), mean)
