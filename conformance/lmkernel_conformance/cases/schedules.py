"""Learning-rate schedules in closed form; they are computed on the host on every backend."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.training.config import ScheduleConfig
from lmkernel.training.step import schedules
from lmkernel_conformance.cases.case import Case
from lmkernel_conformance.oracle import optimizers

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel_conformance.oracle.arithmetic import Arithmetic
    from lmkernel_conformance.subject import Subject

_RATE, _STEPS = 0.75, 40


def _case(kind: str) -> Case:
    return Case(
        level="training",
        name=f"schedule.{kind}",
        run=_check(kind),
        dtypes=("float64",),
        training=True,
        doc="Every step, with and without warm-up, floor and cooldown, overlapping or not.",
    )


def _check(kind: str) -> Callable[[Subject], None]:
    def run(s: Subject) -> None:
        for warmup, floor, cooldown in ((0, 0.0, 0), (1, 0.0, 1), (7, 0.1, 9), (30, 0.25, 25)):
            config = ScheduleConfig(
                kind=kind, rate=_RATE, warmup=warmup, floor=floor, cooldown=cooldown
            )
            every = range(1, _STEPS + 1)
            got = np.array([schedules.learning_rate(config, i, _STEPS) for i in every])
            what = f"warm-up {warmup}, floor {floor}, cooldown {cooldown}"
            [limit] = s.budgets(what, partial(_rates, kind, warmup, floor, cooldown))
            s.judge(what, got, limit)
            for late in (1, 5):
                after = schedules.learning_rate(config, _STEPS + late, _STEPS)
                s.demand(f"{what}: {late} steps after the last", expected=got[-1], got=after)

    return run


def _rates(kind: str, warmup: int, floor: float, cooldown: int, ar: Arithmetic) -> Any:
    return _RATE * optimizers.rate(ar, kind, _STEPS, warmup, floor, cooldown)


SCHEDULES = tuple(_case(kind) for kind in ("constant", "linear", "cosine", "wsd"))
