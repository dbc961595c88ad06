"""Two processes give what one gives: the tier of distribution, and training over it.

Constraints: what the processes find is judged here, by the oracle, over whole batches: neither one
process of the same backend nor the other process is the measure. Both must find the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.programs import (
    LIMIT,
    MODEL,
    RATE,
    evaluated_rows,
    grid,
    sgd_steps,
)
from lmkernel_conformance.cases.zoo import ZOO, values
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.inputs import normal
from lmkernel_conformance.oracle import training as oracle
from lmkernel_conformance.oracle.optimizers import norm
from lmkernel_conformance.oracle.tape import gradient
from lmkernel_conformance.together.processes import COUNT

if TYPE_CHECKING:
    from lmkernel.training.data import Batch
    from lmkernel_conformance.subject import Subject

Host = Any
_DTYPES = ("float32",)
_ALIKE = 1e-4
"""Relative: far above the rounding of a sum of some numbers, far below what a mask changes."""


def _found(s: Subject, program: str) -> dict[str, Host]:
    """What process 0 found, after the others found the same bits."""
    first, *others = s.together(s.backend, program, s.dtype)
    for rank, other in enumerate(others, 1):
        s.demand(f"results of process {rank}", expected=sorted(first), got=sorted(other))
        for name, expected in first.items():
            s.equal(f"{name} in process {rank}", other[name], expected)
    return first


@case(level="distribution", id="exchange", dtypes=_DTYPES)
def exchange(s: Subject) -> None:
    """Each process hears what every other says, by rank, and of a wish that one alone has."""
    found = _found(s, "tier.exchange")
    for rank in range(COUNT):
        words = np.full(1 + 99 * rank, 65 + rank)
        s.equal(f"what process {rank} said", found[f"said.{rank}"], words)
    s.demand("asked by the last process", expected=True, got=bool(found["asked"]))


@case(level="distribution", id="places", dtypes=_DTYPES)
def places(s: Subject) -> None:
    """An array that is placed in parts is whole again when it is joined or gathered, bit for bit.

    Each process holds another part, or the whole would have one of them twice.
    """
    for name, got in _found(s, "tier.places").items():
        s.equal(name, got, grid())


@case(level="distribution", id="totals", dtypes=_DTYPES)
def totals(s: Subject) -> None:
    """Sums over the rows of all processes, exact for whole numbers; the norm is of whole arrays."""
    found = _found(s, "tier.totals")
    s.equal("sum of all", found["total"], grid().sum())
    s.equal("sums of columns", found["columns"], grid().sum(0))
    arrays = [s.round(normal(f"together.norm.{i}", 4, 6)) for i in range(2)]
    limits = s.budgets("norm", lambda ar: norm(ar, [ar.constant(x) for x in arrays]))
    s.judge("norm of parts and wholes", found["norm"], limits[0])


def _check_steps(s: Subject, program: str, limit: float) -> None:
    """Judge losses, norms and weights by steps over whole batches; counts must be exact."""
    found, first = _found(s, program), values(s, MODEL)
    steps = [_joined(micro) for micro in sgd_steps()]
    counts = [float((batch["targets"] >= 0).sum()) for batch in steps]
    s.demand("targets of each step", expected=counts, got=found["counts"].tolist())

    def honest(ar: Any) -> list[Host]:
        update = oracle.sgd(RATE, clip=limit)
        curve, p = oracle.run(ar, ZOO[MODEL], "cross_entropy", first, steps, update)
        measured = oracle.mean_loss(ar, ZOO[MODEL], "cross_entropy", p, evaluated_rows())
        return [*curve, _first_norm(ar, first, steps[0]), measured, *(p[name] for name in first)]

    limits = s.budgets("steps", honest)
    got = [*found["losses"], found["norms"][0], found["evaluation"][0]]
    got += [found[f"weights.{name}"] for name in first]
    names = [*(f"loss of step {i}" for i, _ in enumerate(steps, 1)), "norm of step 1"]
    names += ["loss in evaluation", *(f"{name} after the steps" for name in first)]
    for name, value, allowed in zip(names, got, limits, strict=True):
        s.judge(name, np.asarray(value), allowed)


def _first_norm(ar: Any, first: dict[str, Host], batch: Batch) -> Host:
    """The norm of the gradient of the mean loss, before anything was learnt."""
    p = {name: ar.constant(x) for name, x in first.items()}

    def loss(x: dict[str, Host]) -> list[Host]:
        return [oracle.mean_loss(ar, ZOO[MODEL], "cross_entropy", x, batch)]

    g = gradient(ar, loss, p, [ar.full((), 1.0)])
    return norm(ar, [g[name] for name in sorted(g)])


def _joined(micro: list[Batch]) -> Batch:
    return {name: np.concatenate([batch[name] for batch in micro]) for name in micro[0]}


@case(level="distribution", id="trainer.data", rows=(21,), dtypes=_DTYPES, training=True)
def data(s: Subject) -> None:
    """Rows divided: processes with unequal numbers of targets give what one process gives."""
    _check_steps(s, "training.data", 0.0)


@case(level="distribution", id="trainer.sharded", rows=(21,), dtypes=_DTYPES, training=True)
def sharded(s: Subject) -> None:
    """Weights and gradients divided too; gradients are clipped by the norm of the whole."""
    _check_steps(s, "training.fsdp", LIMIT)


@case(level="distribution", id="trainer.evaluation", dtypes=_DTYPES, training=True)
def evaluation(s: Subject) -> None:
    """An evaluation takes in every row, those of a last and smaller batch too."""
    count = float((evaluated_rows()["targets"] >= 0).sum())
    for program in ("training.data", "training.fsdp"):
        measured = _found(s, program)["evaluation"]
        s.demand(f"targets in evaluation, {program}", expected=count, got=float(measured[1]))


@case(level="distribution", id="trainer.resume", rows=(24,), dtypes=_DTYPES, training=True)
def resume(s: Subject) -> None:
    """Two steps, saving, restoring and one more give the bits of three, with moments in parts."""
    found = _found(s, "training.resumed")
    for name in values(s, MODEL):
        s.equal(name, found[f"resumed.{name}"], found[f"whole.{name}"])


@case(level="distribution", id="trainer.dropout", dtypes=_DTYPES, training=True)
def dropout(s: Subject) -> None:
    """Each row is dropped from by a mask of its own, so two rows exchanged give another loss."""
    one, other = (float(x) for x in _found(s, "training.dropout")["losses"])
    if abs(one - other) <= _ALIKE * abs(one):
        raise Discrepancy(
            f"{s.label}: expected another mask in each process, got the loss {one!r} for two rows "
            f"in either order"
        )
