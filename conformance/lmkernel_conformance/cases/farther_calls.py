"""Calls, structures and masks that others do not try; each exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.generation import GenerationOptions, sample, sampling
from lmkernel_conformance.cases.beyond import whole_numbers
from lmkernel_conformance.cases.case import case

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

_ALL = ("float32", "float64", "bfloat16", "float16")


@case(level="operations", id="farther.reshaped", dtypes=_ALL)
def reshaped(s: Subject) -> None:
    """One extent may be left out in any place, of any number of axes, also of a permuted array."""
    x = whole_numbers(4, 6, 2)
    turned = s.ops.permute_dims(s.array(x), (2, 0, 1))
    given = {"plain": (s.array(x), x), "permuted": (turned, x.transpose(2, 0, 1))}
    shapes = ((-1,), (-1, 12), (8, -1), (-1, 4, 3), (2, -1, 3), (4, 3, -1), (2, 3, -1, 2), (48,))
    for name, (native, host) in given.items():
        for shape in shapes:
            want = host.reshape(shape)
            s.equal(f"{name} as {shape}", s.ops.reshape(native, shape), want, s.dtype)
            again = s.ops.reshape(s.ops.reshape(native, shape), (6, -1, 4))
            s.equal(f"{name} by {shape}", again, host.reshape(6, 2, 4), s.dtype)


_SEEN = np.array([[1, 0, 0, 1], [0, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 1]], bool)
"""Rows that see one, two or four slots, so that shares are exact."""


@case(level="operations", id="farther.masks", dtypes=_ALL, rows=(2,))
def masks(s: Subject) -> None:
    """Masks and biases have any of their axes or none, where queries are as many as slots."""
    v = 4 * whole_numbers(2, 2, 4, 3)
    q, k = s.array(np.zeros((2, 2, 4, 3))), s.array(whole_numbers(2, 2, 4, 3))
    shown = {
        "by row": _SEEN[:2, None, None],
        "by head": _SEEN[None, 1:3, None],
        "by query": _SEEN[None, None],
        "by row and head": np.stack([_SEEN[:2], _SEEN[2:]])[:, :, None],
        "by row and query": np.stack([_SEEN, _SEEN[::-1]])[:, None],
        "by head and query": np.stack([_SEEN, _SEEN[::-1]])[None],
        "one for all": _SEEN[None, None, 3:],
    }
    for name, mask in shown.items():
        weights = mask / mask.sum(-1, keepdims=True)
        want = np.broadcast_to(weights, (2, 2, 4, 4)) @ v
        got = s.ops.attention(q, k, s.array(v), s.array(mask), scale=1.0)
        s.equal(f"mask {name}", got, want, s.dtype)
        bias = np.where(mask, 0.0, -1e4)
        wide = s.ops.asarray(bias, "float64" if s.dtype == "float64" else "float32")
        got = s.ops.attention(q, k, s.array(v), None, scale=1.0, bias=wide)
        s.equal(f"bias {name}", got, want, s.dtype)


@case(level="operations", id="farther.grown")
def grown(s: Subject) -> None:
    """A cache keeps what it holds while it grows, again and again."""
    ops: Any = s.ops
    k, v = np.zeros((2, 3, 6, 2)), whole_numbers(2, 3, 6, 2)
    cache, q = ops.cache_create(2, 3, 2, 2, s.dtype), s.array(np.zeros((2, 3, 1, 2)))
    for i, capacity in enumerate((2, 33, 65, 200)):
        cache = ops.cache_grow(cache, capacity) if i else cache
        piece = (s.array(x[:, :, i : i + 1]) for x in (k, v))
        cache = ops.cache_append(cache, *piece, ops.asarray(i, "int32"))
        for slot in range(i + 1):
            mask = np.broadcast_to(np.arange(capacity) == slot, (2, 1, 1, capacity))
            got = ops.cache_attend(cache, q, s.array(mask), extent=capacity, scale=1.0)
            s.equal(f"slot {slot} of {capacity}", got, v[:, :, slot : slot + 1], s.dtype)


@case(level="operations", id="farther.loops")
def loops(s: Subject) -> None:
    """A loop of many steps, from either end, over trees, gives each output in its place."""
    ops: Any = s.ops
    x, y = whole_numbers(70, 2), whole_numbers(70) + 8

    def step(carry: Any, now: Any) -> Any:
        carry = {"sum": carry["sum"] + now["x"], "last": now["y"]}
        return carry, {"sums": carry["sum"], "pair": (now["y"], now["x"] * now["y"])}

    begin = {"sum": s.array(np.zeros(2)), "last": s.constant(0.0)}
    for reverse in (False, True):
        order = slice(None, None, -1 if reverse else 1)
        end, made = ops.scan(step, begin, {"x": s.array(x), "y": s.array(y)}, reverse=reverse)
        s.equal("carried", end["sum"], x.sum(0), s.dtype)
        s.equal("last", end["last"], y[order][-1], s.dtype)
        s.equal("sums", made["sums"], np.cumsum(x[order], 0)[order], s.dtype)
        s.equal("first of the pair", made["pair"][0], y, s.dtype)
        s.equal("second of the pair", made["pair"][1], x * y[:, None], s.dtype)


@case(level="operations", id="farther.static")
def static(s: Subject) -> None:
    """Static arguments that have one hash are still two."""
    compiled = s.ops.compile(lambda x, n: x * float(n), static=(1,))
    x = whole_numbers(5)
    for n in (-1, -2, -1, 0, 2**61 - 1, 0):
        s.equal(f"times {n}", compiled(s.array(x), n), x * s.round(np.array(float(n))), s.dtype)


@case(level="gradients", id="farther.repeated.gradient", training=True)
def repeated(s: Subject) -> None:
    """What is repeated has the sum of all gradients, whatever axes it lacks or has of extent 1."""
    ops: Any = s.ops
    probe = whole_numbers(4, 3, 5)
    for shape in ((), (5,), (1,), (1, 5), (3, 1), (3, 5), (4, 1, 1), (1, 3, 1), (4, 3, 5)):

        def f(x: Any) -> Any:
            y = ops.broadcast_to(x, (4, 3, 5)) * s.array(probe)
            return ops.sum(ops.reshape(y, (-1,)), 0)

        full = (1,) * (3 - len(shape)) + shape
        over = tuple(i for i, extent in enumerate(full) if extent == 1)
        want = probe.sum(over, keepdims=True).reshape(shape)
        got = ops.value_and_grad(f)(s.array(whole_numbers(*full).reshape(shape)))[1]
        s.equal(f"of {shape}", got, want, s.dtype)


@case(level="gradients", id="farther.structures.gradient", training=True)
def structures(s: Subject) -> None:
    """Gradients have the structure of their tree; where they are stopped, no axis lets one by."""
    ops: Any = s.ops
    hosts = [whole_numbers(*[2] * rank) for rank in range(1, 6)]
    x = [s.array(host) for host in hosts]
    tree = {"pair": (x[0], x[1]), "list": [x[2], {"inner": (x[3],)}], "rest": x[4]}

    def f(t: Any) -> Any:
        leaves = (*t["pair"], t["list"][0], *t["list"][1]["inner"], t["rest"])
        squares = [leaf * ops.stop_gradient(leaf) for leaf in leaves]
        parts = [ops.sum(ops.reshape(square, (-1,)), 0) for square in squares]
        return parts[0] + parts[1] + parts[2] + parts[3] + parts[4]

    value, found = ops.value_and_grad(f)(tree)
    s.equal("value", value, sum((host * host).sum() for host in hosts), s.dtype)
    inner = found["list"][1]["inner"]
    kinds = [type(part) for part in (found, found["pair"], found["list"], inner)]
    s.demand("kinds", expected=[dict, tuple, list, tuple], got=kinds)
    leaves = (*found["pair"], found["list"][0], *inner, found["rest"])
    for rank, (leaf, host) in enumerate(zip(leaves, hosts, strict=True), 1):
        s.equal(f"of {rank} axes", leaf, host, s.dtype)


@case(level="gradients", id="farther.mse.gradient", training=True)
def mse(s: Subject) -> None:
    """The gradient of a mean is over all numbers, be there one axis or four; both sides have it."""
    ops: Any = s.ops
    f = ops.value_and_grad(lambda t: ops.mse(t["y"], t["t"]))
    for shape in ((8,), (2, 4), (2, 2, 4), (2, 2, 2, 2), (1, 1, 32)):
        y, t = whole_numbers(*shape), whole_numbers(*shape)[::-1] + 1
        want = 2 * (y - t) / y.size
        _, found = f({"y": s.array(y), "t": s.array(t)})
        s.equal(f"prediction {shape}", found["y"], want, s.dtype)
        s.equal(f"target {shape}", found["t"], -want, s.dtype)


@case(level="training", id="farther.norm", training=True)
def norm(s: Subject) -> None:
    """The norm of gradients that are no numbers is none, in whichever array they stand."""
    for i in range(3):
        hosts = [np.ones(2), np.ones((2, 2)), np.array(1.0)]
        hosts[i] = hosts[i] * np.nan
        got = s.ops.global_norm([s.array(host) for host in hosts])
        s.equal(f"of array {i}", got, np.nan, s.dtype)


@case(level="generation", id="farther.penalty", dtypes=("float64",))
def penalty(s: Subject) -> None:
    """What came before is penalised once, however often it came, above zero and below."""
    options = GenerationOptions(temperature=0.0, repetition_penalty=2.0)
    for logits, want in (
        ([8.0, 3.0, 0.0], 0),
        ([8.0, 4.5, 0.0], 1),
        ([-1.0, -3.0, -9.0], 0),
        ([-1.0, -1.5, -9.0], 1),
    ):
        for history in ((0,), (0, 0, 0), (2, 0, 2, 0)):
            got = sample(np.array(logits), options, history=history)
            s.demand(f"of {logits} after {history}", expected=want, got=got)


@case(level="generation", id="farther.ties", dtypes=("float64",))
def ties(s: Subject) -> None:
    """Of tokens that score alike at the end of the best, those of the lowest ids may be drawn."""
    logits = np.array([0.0, 2.0, 1.0, 1.0, 1.0])
    for count, allowed in ((1, {1}), (2, {1, 2}), (3, {1, 2, 3})):
        options = GenerationOptions(temperature=1.0, top_k=count, seed=4)
        drawn = {sample(logits, options, row=row) for row in range(64)}
        s.demand(f"the best {count}", expected=allowed, got=drawn)


@case(level="generation", id="farther.draws", dtypes=("float64",))
def draws(s: Subject) -> None:
    """Each step, row and seed has a draw of its own, however far they are."""
    seeds = (0, 1, 2**31, 2**32, 2**32 + 1, 2**63)
    found = {
        "steps": [sampling.draw(3, 1, step) for step in range(1100)],
        "rows": [sampling.draw(3, row, 1) for row in range(1100)],
        "seeds": [sampling.draw(seed, 0, 0) for seed in seeds],
    }
    for name, values in found.items():
        s.demand(name, expected=len(values), got=len(set(values)))


@case(level="generation", id="farther.temperature", dtypes=("float64",))
def temperature(s: Subject) -> None:
    """What may be drawn is judged by probabilities after the temperature."""
    logits = np.log(np.array([0.6, 0.25, 0.1, 0.05]))
    trials: tuple[tuple[dict[str, Any], set[int]], ...] = (
        ({"temperature": 2.0, "min_p": 0.5}, {0, 1}),
        ({"temperature": 0.5, "min_p": 0.2}, {0}),
        ({"temperature": 2.0, "top_p": 0.5}, {0, 1}),
        ({"temperature": 0.5, "top_p": 0.8}, {0}),
        ({"temperature": 1.0, "top_k": 2, "top_p": 0.7}, {0}),
    )
    for asked, allowed in trials:
        options = GenerationOptions(seed=6, **asked)
        drawn = {sample(logits, options, row=row) for row in range(96)}
        s.demand(f"by {asked}", expected=allowed, got=drawn)
