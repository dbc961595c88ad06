"""More arrays, rows, steps, classes and draws than one launch or one tile takes; each exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.beyond import whole_numbers
from lmkernel_conformance.cases.case import case

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject


@case(level="operations", id="launches.joined")
def joined(s: Subject) -> None:
    """As many arrays are joined as there are, each in its place."""
    for count in (9, 17, 33, 70):
        parts = [whole_numbers(2, 1 + i % 3) + i for i in range(count)]
        got = s.ops.concat([s.array(part) for part in parts], 1)
        s.equal(f"{count} arrays", got, np.concatenate(parts, 1), s.dtype)


@case(level="operations", id="launches.first")
def first(s: Subject) -> None:
    """Of largest elements far apart, the first is found, however long the row."""
    for length in (20, 32, 130, 1030, 4096):
        for apart in (1, 7, 8, 31):
            x = np.zeros((2, length))
            x[0, [length // 3, min(length // 3 + apart, length - 1)]] = 1.0
            x[1, length - 1 - apart :] = 2.0
            got = s.ops.argmax(s.array(x), 1)
            s.equal(f"{apart} apart of {length}", got, x.argmax(1), "int32")


@case(level="operations", id="launches.draws")
def draws(s: Subject) -> None:
    """No row of many draws comes twice, from the first to the last."""
    ops: Any = s.ops
    for shape in ((300, 1024), (1 << 18, 2)):
        got = s.host(ops.random_uniform(ops.asarray([3, 5], "int32"), shape, s.dtype))
        rows = got.reshape(-1, 64)
        s.demand(f"rows of {shape}", expected=len(rows), got=len(np.unique(rows, axis=0)))


@case(level="operations", id="launches.dropped")
def dropped(s: Subject) -> None:
    """Each element is dropped by a draw of its own, whichever axes are there."""
    key = s.ops.asarray([7, 2], "int32")
    for shape in ((8, 64), (2, 8, 64), (2, 4, 8, 64), (1, 2, 4, 8, 64)):
        for axis in range(len(shape) - 1):
            kept = s.host(s.ops.dropout(s.array(np.ones(shape)), key, 0.5)) > 0
            rows = np.moveaxis(kept, axis, 0).reshape(shape[axis], -1)
            what = f"rows along axis {axis} of {shape}"
            s.demand(what, expected=shape[axis], got=len(np.unique(rows, axis=0)))


@case(level="operations", id="launches.low_rank")
def low_rank(s: Subject) -> None:
    """Every rank of a low-rank addition counts, also beyond those of a tile."""
    x, weight = whole_numbers(3, 5), whole_numbers(4, 5)
    for rank in (17, 33, 65, 130, 257):
        a, b = whole_numbers(rank, 5), whole_numbers(4, rank)
        got = s.ops.linear(s.array(x), s.array(weight), None, (s.array(a), s.array(b)))
        s.equal(f"rank {rank}", got, x @ (weight + b @ a).T, s.dtype)


@case(level="operations", id="launches.crowd")
def crowd(s: Subject) -> None:
    """One expert serves all rows that ask for it, few or many, while others wait."""
    weight = whole_numbers(8, 3, 4)
    for rows in (17, 33, 65, 130, 513):
        x = whole_numbers(rows, 4)
        for name, experts in (
            ("all of one", np.full(rows, 5)),
            ("one in nine of another", np.where(np.arange(rows) % 9, 2, 7)),
        ):
            got = s.ops.expert_linear(s.array(x), s.array(weight), s.array(experts))
            want = np.einsum("ri,roi->ro", x, weight[experts])
            s.equal(f"{rows} rows, {name}", got, want, s.dtype)


@case(level="operations", id="launches.classes", rows=(18, 19))
def classes(s: Subject) -> None:
    """The largest of many classes is subtracted, wherever it stands; to two digits of 200."""
    for count in (40, 300, 1030):
        for place in (0, count // 2, count - 1):
            x = np.zeros((2, count))
            x[0, place] = x[1, place] = 200.0
            targets = s.array(np.array([place, (place + 1) % count]))
            got = s.host(s.ops.cross_entropy(s.array(x), targets)).astype(float)
            s.equal(f"{place} of {count}", np.round(got, 2) + 0.0, [0.0, 200.0])
            logs = s.host(s.ops.log_softmax(s.array(x))).astype(float)[:, place]
            s.equal(f"logarithm at {place} of {count}", np.round(logs, 2) + 0.0, [0.0, 0.0])


@case(level="gradients", id="launches.steps.gradient", training=True)
def steps(s: Subject) -> None:
    """Gradients come back through every step of a loop, however many there are."""
    ops: Any = s.ops
    for count in (33, 65, 130):
        signs = np.where(np.arange(count) % 3, 1.0, -1.0)
        add = whole_numbers(count)

        def f(t: Any) -> Any:
            def step(carry: Any, now: Any) -> Any:
                carry = carry * now["sign"] + now["add"]
                return carry, carry

            end, made = ops.scan(step, t["begin"], {"sign": t["sign"], "add": t["add"]})
            return end + ops.sum(made, 0)

        given = {"begin": s.constant(2.0), "sign": s.array(signs), "add": s.array(add)}
        found = ops.value_and_grad(f)(given)[1]
        # what each step is worth: itself, and what those behind it make of it
        worth = np.ones(count)
        worth[-1] += 1
        for i in range(count - 2, -1, -1):
            worth[i] += worth[i + 1] * signs[i + 1]
        s.equal(f"what {count} steps add", found["add"], worth, s.dtype)
        s.equal(f"where {count} steps begin", found["begin"], worth[0] * signs[0], s.dtype)


@case(level="training", id="launches.adam", training=True)
def adam(s: Subject) -> None:
    """Each of many parameters has its own decay and moments, with or without momentum."""
    count = 70
    decays = [(i % 7) / 8 + (i >= count // 2) for i in range(count)]
    # roots and ε add up to powers of two
    halves = [np.array([2.0, -6.0]) * (1 if i % 2 else -1) for i in range(count)]
    for beta1 in (0.5, 0.0):
        parts = [[np.full(2, float(x)) for _ in range(count)] for x in (8, 4, 0)]
        given = [s.arrays(part) for part in (parts[0], [2 * half for half in halves], *parts[1:])]
        values = {"rate": 0.25, "grad_scale": 0.5, "step": 1.0, "second_scale": 4.0}
        values["first_scale"] = 1 / (1 - beta1)
        scalars = {name: s.constant(value) for name, value in values.items()}
        ops: Any = s.ops
        new, means, _ = ops.adam_update(
            *given, scalars, beta1=beta1, beta2=0.75, eps=2.0, decays=decays
        )
        for i, (decay, half) in enumerate(zip(decays, halves, strict=True)):
            mean = beta1 * 4 + (1 - beta1) * half
            s.equal(f"mean {i}, momentum {beta1}", means[i], mean, s.dtype)
            step = values["first_scale"] * mean / (np.abs(half) + 2)
            got = np.round(s.host(new[i]).astype(float), 3)
            want = np.round(8 - 0.25 * (decay * 8 + step), 3)
            s.equal(f"parameter {i}, momentum {beta1}", got, want)
