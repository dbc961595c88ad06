"""``lmkernel reference --train``: the loss curves of the tutorial's programs, side by side."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from lmkernel.cli.style import paint
from lmkernel.errors import CapabilityError
from lmkernel.results import columns
from lmkernel_conformance.subject import Subject
from lmkernel_conformance.tutorial.programs import PROGRAMS, SEED
from lmkernel_conformance.tutorial.training_runs import (
    expected_curves,
    first_weights,
    run_programs,
    share_of_budget,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lmkernel.plugins import Registry
    from lmkernel_conformance.budget import Budget
    from lmkernel_conformance.tutorial.programs import Program
    from lmkernel_conformance.tutorial.training_runs import ProgramRun

__all__ = ["train_programs", "training_json", "training_text"]

_CASE = "training/programs"
"""The case of the suite that judges the same losses, in float32, by the same budgets."""
_ALL_EPOCHS, _EACH = 10, 10
"""Up to so many epochs are printed one by one; of more, the first and every tenth."""


def train_programs(
    names: Iterable[str], registry: Registry | None = None
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Train every program on every backend.

    Args:
        names: the names of the backends.
        registry: the registry that they are looked up in.

    Returns:
        A row for each program; and for each backend that cannot train, the reason.
    """
    from lmkernel.backend import load_backend

    runs: dict[str, dict[str, ProgramRun]] = {}
    left_out: dict[str, str] = {}
    limits: dict[str, list[Budget]] = {}
    for name in names:
        subject = Subject(backend=load_backend(name, registry=registry), case=_CASE)
        factory = subject.factory
        try:
            runs[name] = run_programs(factory)
        except CapabilityError as error:
            left_out[name] = f"{name} was left out: {error}"
            continue
        limits = limits or expected_curves(
            first_weights(factory), partial(subject.budgets, "losses")
        )
    return [_row(p, runs, limits[p.id]) for p in PROGRAMS if runs], left_out


def _row(
    program: Program, runs: dict[str, dict[str, ProgramRun]], limits: list[Budget]
) -> dict[str, Any]:
    backends = {}
    for name, programs in runs.items():
        run = programs[program.id]
        share = share_of_budget(run.losses, limits)
        backends[name] = {
            "losses": _epochs(program, run.losses),
            "share": share,
            "agrees": share <= 1,
            "predictions": run.predictions.tolist(),
            "evaluation": run.evaluation,
        }
    return {
        "program": program.id,
        "section": program.section,
        "printed": program.printed,
        "loss": program.loss,
        "seed": SEED,
        "epochs": program.epochs,
        "expected": _epochs(program, [float(limit.reference) for limit in limits]),
        "backends": backends,
    }


def _epochs(program: Program, losses: Sequence[float]) -> list[float]:
    """The mean loss of each epoch's steps."""
    each = len(program.data)
    return [sum(losses[i : i + each]) / each for i in range(0, len(losses), each)]


def training_json(rows: list[dict[str, Any]], left_out: dict[str, str]) -> str:
    """The rows, and the backends that were left out."""
    missing = [{"backend": name, "missing": why} for name, why in left_out.items()]
    return json.dumps([*rows, *missing], indent=2, ensure_ascii=False)


def training_text(rows: list[dict[str, Any]], left_out: dict[str, str]) -> str:
    """A table for each program."""
    return "\n\n".join([*map(_table, rows), *left_out.values()])


def _table(row: dict[str, Any]) -> str:
    backends = row["backends"]
    title = f"{row['program']} (section {row['section']}; {row['loss']}, seed {row['seed']})"
    cells = [["EPOCH", "EXPECTED", *backends]]
    for epoch in range(row["epochs"]):
        if row["epochs"] > _ALL_EPOCHS and epoch and (epoch + 1) % _EACH:
            continue
        each = [run["losses"][epoch] for run in backends.values()]
        cells.append([str(epoch + 1), *(f"{x:.7g}" for x in (row["expected"][epoch], *each))])
    cells.append(["evaluation", "", *(f"{r['evaluation']['loss']:.7g}" for r in backends.values())])
    cells.append(["of budget", "", *(f"{r['share']:.2f}" for r in backends.values())])
    wrong = [name for name, run in backends.items() if not run["agrees"]]
    verdict = f"OUTSIDE THE BUDGET: {', '.join(wrong)}" if wrong else "all within the budget"
    lines = [
        paint(title, "bold", sys.stdout),
        f"as printed: {row['printed']}",
        columns(cells),
        paint(verdict, "red" if wrong else "green", sys.stdout),
    ]
    return "\n".join(lines)
