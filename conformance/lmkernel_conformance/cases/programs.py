"""What each of two processes does for a case of the level ``distribution``.

Constraints: a program gives back host arrays by name, which the case judges in the process that
asked; it judges nothing itself. It takes a mesh's backend from ``load`` alone, so that it runs in
whatever stands for a process.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.distribution.agreement import any_of
from lmkernel.training.config import OptimizerConfig, ScheduleConfig
from lmkernel.training.data import ArrayBatches
from lmkernel_conformance.cases.curves import ADAM, build_trainer
from lmkernel_conformance.cases.zoo import ZOO, values
from lmkernel_conformance.inputs import normal, tokens
from lmkernel_conformance.subject import Subject
from lmkernel_conformance.together.processes import COUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.backend import Backend
    from lmkernel.contract.distribution import Spec
    from lmkernel.interfaces import Trainer, TrainingState
    from lmkernel.training.data import Batch

    Load = Callable[[str], Backend]
    Program = Callable[[Load, str], dict[str, Any]]

__all__ = [
    "LIMIT",
    "MODEL",
    "PROGRAMS",
    "RATE",
    "STEPS",
    "batches",
    "evaluated_rows",
    "grid",
    "sgd_steps",
]

MODEL = "gpt2"
STEPS, RATE, LIMIT = 3, 0.1, 0.25
"""Steps of two micro-batches each; the rate; and the norm that gradients are clipped to."""
ROWS: Spec = (("data",),)
_BARELY = 1e-30
_KEPT = 2
"""The step after which the state is saved and restored."""


def grid() -> Any:
    """Whole numbers, each another one, ``(4, 6)``: their sums are exact in every order."""
    return np.arange(24, dtype=np.float64).reshape(4, 6)


def batches() -> list[Batch]:
    """Two micro-batches a step, of four rows: those of the second process have few targets."""
    found = []
    for number in range(2 * STEPS):
        inputs = tokens(f"together.{number}", 4, 6, vocab=31)
        targets = tokens(f"together.targets.{number}", 4, 6, vocab=31)
        targets[2:, number % 3 + 1 :] = -1
        found.append(_batch(inputs, targets))
    return found


def evaluated_rows() -> Batch:
    """Ten rows, which batches of four do not fill; the last two have most of the targets."""
    targets = tokens("together.evaluated.targets", 10, 6, vocab=31)
    targets[:8, 2:] = -1
    return _batch(tokens("together.evaluated", 10, 6, vocab=31), targets)


def _batch(inputs: Any, targets: Any) -> Batch:
    """Rows of equal length, as a model with positions takes them."""
    positions = np.broadcast_to(np.arange(inputs.shape[1]), inputs.shape).astype(np.int32)
    return {"inputs": inputs, "positions": positions, "targets": targets}


def exchange(load: Load, dtype: str) -> dict[str, Any]:
    """Messages of unequal lengths, and a wish of the last process alone."""
    del dtype
    tier = load("data=2").distribution
    rank = tier.processes.rank
    said = tier.exchange(bytes([65 + rank]) * (1 + 99 * rank))
    asked = any_of(tier, asked=rank == COUNT - 1)
    words = {f"said.{i}": np.frombuffer(message, np.uint8) for i, message in enumerate(said)}
    return {**words, "asked": np.asarray(asked)}


def places(load: Load, dtype: str) -> dict[str, Any]:
    """An array in parts of each kind, gathered again, and joined within a computation."""
    found = {}
    for mesh, spec in (("data=2", ROWS), ("fsdp=2", ((), ("fsdp",))), ("fsdp=2", (("fsdp",),))):
        backend = load(mesh)
        tier, name = backend.distribution, f"{mesh}.{len(spec)}"
        with backend:
            placed = tier.place(grid(), dtype, spec)  # type: ignore[arg-type]  # declared by the backend
            found[f"gathered.{name}"] = tier.gather(placed, spec)
            join = backend.ops.compile(lambda x, tier=tier, spec=spec: tier.constrain(x, spec, ()))
            found[f"joined.{name}"] = tier.gather(join(placed), ())
    return found


def totals(load: Load, dtype: str) -> dict[str, Any]:
    """Sums over rows that lie in parts, and the norm of an array that does."""
    backend = load("data=2")
    ops, tier = backend.ops, backend.distribution
    with backend:
        rows = tier.place(grid(), dtype, ROWS)  # type: ignore[arg-type]  # declared by the backend

        def added(x: Any) -> Any:
            sums = [ops.sum(ops.reshape(x, (-1,)), 0), ops.sum(x, 0)]
            return tier.total(sums, [(), ()])

        total, columns = ops.compile(added)(rows)
        found = {"total": tier.gather(total, ()), "columns": tier.gather(columns, ())}
    return {**found, **_norm(load("fsdp=2"), dtype)}


def _norm(backend: Backend, dtype: str) -> dict[str, Any]:
    """That of an array in parts and a whole one together."""
    specs: list[Spec] = [((), ("fsdp",)), ()]
    tier = backend.distribution
    with backend:
        arrays = [
            tier.place(normal(f"together.norm.{i}", 4, 6), dtype, spec)  # type: ignore[arg-type]  # declared by the backend
            for i, spec in enumerate(specs)
        ]
        norm = backend.ops.compile(lambda xs: tier.norm(xs, specs))(arrays)
        return {"norm": tier.gather(norm, ())}


def _sgd(mesh: str, limit: float) -> Program:
    """Steps of SGD on a mesh; what is judged is what one process would get from whole batches."""

    def program(load: Load, dtype: str) -> dict[str, Any]:
        s = Subject(backend=load(mesh), dtype=dtype)
        trainer = build_trainer(
            s, MODEL, OptimizerConfig(kind="sgd"), schedule=_constant(RATE), clip=limit
        )
        state, results = trainer.start(values(s, MODEL)), []
        for step in range(STEPS):
            state, result = trainer.step(state, sgd_steps()[step])
            results.append(result)
        fed = ArrayBatches(evaluated_rows(), batch=4)
        measured = trainer.evaluate(state, fed)
        return {
            "losses": np.asarray([x.loss for x in results]),
            "norms": np.asarray([x.norm for x in results]),
            "counts": np.asarray([x.count for x in results]),
            "evaluation": np.asarray([measured["loss"], measured["targets"]]),
            **{f"weights.{name}": x for name, x in trainer.weights(state).items()},
        }

    return program


def sgd_steps() -> list[list[Batch]]:
    """The micro-batches of each step."""
    every = batches()
    return [every[2 * step : 2 * step + 2] for step in range(STEPS)]


def _constant(rate: float) -> ScheduleConfig:
    return ScheduleConfig(kind="constant", rate=rate)


def resumed(load: Load, dtype: str) -> dict[str, Any]:
    """Steps of Adam with its moments in parts, without a pause and with one."""
    s = Subject(backend=load("fsdp=2"), dtype=dtype)
    trainer, first = build_trainer(s, MODEL, ADAM), values(s, MODEL)

    def go_on(state: TrainingState) -> TrainingState:
        while state.step < STEPS:
            state, _ = trainer.step(state, batches()[state.step : state.step + 1])
        return state

    whole = trainer.weights(go_on(trainer.start(first)))
    half = trainer.start(first)
    for step in range(_KEPT):
        half, _ = trainer.step(half, batches()[step : step + 1])
    saved = trainer.trained(half), trainer.optimizer_values(half)
    again = trainer.weights(go_on(trainer.restore(first, *saved, half.step)))
    return {
        **{f"whole.{name}": x for name, x in whole.items()},
        **{f"resumed.{name}": x for name, x in again.items()},
    }


def dropout(load: Load, dtype: str) -> dict[str, Any]:
    """The loss of a step with dropout, over two rows, and over the same rows exchanged."""
    s = Subject(backend=load("data=2"), dtype=dtype)
    model = ZOO[MODEL]
    decoder = replace(model.decoder, dropout=0.3)  # type: ignore[type-var]  # there is one
    model = replace(model, embedding=replace(model.embedding, dropout=0.3), decoder=decoder)
    trainer = build_trainer(
        s, MODEL, OptimizerConfig(kind="sgd"), model=model, schedule=_constant(_BARELY)
    )
    rows = {name: x[:2] for name, x in evaluated_rows().items()}
    return {
        "losses": np.asarray([_first_loss(s, trainer, rows, order) for order in ([0, 1], [1, 0])])
    }


def _first_loss(s: Subject, trainer: Trainer, rows: Batch, order: list[int]) -> float:
    fed = {name: x[order] for name, x in rows.items()}
    _, result = trainer.step(trainer.start(values(s, MODEL)), [fed])
    return result.loss


PROGRAMS: Mapping[str, Program] = MappingProxyType(
    {
        "tier.exchange": exchange,
        "tier.places": places,
        "tier.totals": totals,
        "training.data": _sgd("data=2", 0.0),
        "training.fsdp": _sgd("fsdp=2", LIMIT),
        "training.resumed": resumed,
        "training.dropout": dropout,
    }
)
"""What the processes can be asked for; those of one first word run in one pair of processes."""
