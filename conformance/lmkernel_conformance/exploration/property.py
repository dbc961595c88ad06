"""Properties: how an example for one operation is drawn, and how a backend is judged on it.

Constraints: drawing knows no backend and judging knows no generator; an example passes between them
as JSON. The budget is measured for each example. Where the honest results in the precision under
test are not finite there is nothing to judge by, and the example is unsuitable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel_conformance.cases.trial import Trial, check_gradients, check_values
from lmkernel_conformance.discrepancy import Discrepancy

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel_conformance.exploration.draw import Draw, Example
    from lmkernel_conformance.subject import Subject

__all__ = ["BOTH", "NARROW", "Property", "Unsuitable", "judge_example", "trial_property"]

BOTH = ("float32", "float64")
NARROW = (*BOTH, "bfloat16", "float16")
_WAYS = ("value", "value", "value", "value", "gradient", "gradient", "compiled")


class Unsuitable(Exception):  # noqa: N818 - not an error: the example cannot be judged
    """An example whose honest result is not finite in the precision under test."""


@final
@dataclass(frozen=True, kw_only=True)
class Property:
    """A statement that holds for every example.

    Args:
        name: the operation, and which of its properties where there are several.
        draw: a function that draws an example.
        check: a function that judges a backend on an example, and raises `Discrepancy`.
        dtypes: the floating dtypes that it holds in.
    """

    name: str
    draw: Callable[[Draw], Example]
    check: Callable[[Subject, Example], None]
    dtypes: tuple[str, ...] = BOTH


def judge_example(subject: Subject, prop: Property, drawn: Example) -> None:
    """Judge a backend on one example, with budgets of the example's own.

    Raises:
        Discrepancy: the backend is wrong.
        Unsuitable: the example is outside what can be judged.
    """
    own = replace(subject, known={})
    try:
        with np.errstate(all="ignore"):  # of what is unsuitable
            prop.check(own, drawn)
    finally:
        # In "finally", and so before a Discrepancy leaves: a failure beside budgets that are not
        # finite is no finding, since an honest implementation overflows on this example as well.
        if not all(_finite(limit) for found in own.known.values() for limit in found):
            raise Unsuitable(f"{prop.name}: honest results are not finite")


def _finite(limit: Any) -> bool:
    return bool(np.isfinite(limit.honest).all() and np.isfinite(limit.reference).all())


def trial_property(
    name: str,
    draw: Callable[[Draw], Example],
    make: Callable[[Example], Trial],
    *,
    dtypes: tuple[str, ...] = BOTH,
    gradients: bool = True,
    saturates: bool = False,
) -> Property:
    """The property that a trial holds: its value, its gradients, or its value when compiled.

    Args:
        name: the operation.
        draw: a function that draws an example.
        make: a function from the example to the trial.
        dtypes: the floating dtypes that it holds in; in 16 bits only values are judged.
        gradients: whether the operation has gradients.
        saturates: whether the function is flat somewhere. Its gradient is there a difference of
            nearly equal numbers, and an honest error is luck. So gradients are judged at a scale of
            1 at most, and an example that fails where a gradient is zero throughout is unsuitable.
    """
    ways = _WAYS if gradients else tuple(way for way in _WAYS if way != "gradient")

    def draw_way(d: Draw) -> Example:
        way, found = d.pick(ways), draw(d)
        return {"way": way, **(_calm(found) if saturates and way == "gradient" else found)}

    def check(s: Subject, drawn: Example) -> None:
        trial = make(drawn)
        if drawn["way"] == "gradient" and not s.precision.narrow:
            _check_slopes(s, trial, saturates=saturates)
        else:
            check_values(s, _compile_trial(trial) if drawn["way"] == "compiled" else trial)

    return Property(name=name, draw=draw_way, check=check, dtypes=dtypes)


def _check_slopes(s: Subject, trial: Trial, *, saturates: bool) -> None:
    try:
        check_gradients(s, trial)
    except Discrepancy:
        flat = [not limit.reference.any() for found in s.known.values() for limit in found]
        if saturates and any(flat):
            raise Unsuitable("a gradient is zero throughout") from None
        raise


def _calm(drawn: Any) -> Any:
    """The example with scales of at most 1."""
    if not isinstance(drawn, dict):
        return drawn
    calm = {name: _calm(value) for name, value in drawn.items()}
    return (
        {**calm, "scale": min(1.0, calm["scale"])} if "seed" in calm and "scale" in calm else calm
    )


def _compile_trial(trial: Trial) -> Trial:
    """The trial with its native side compiled."""
    return replace(trial, native=lambda s, t: s.ops.compile(lambda x: trial.native(s, x))(t))
