"""A property: what is drawn for one operation, and how a backend is judged on it.

Constraints: drawing knows no backend, judging no generator; between the two lies JSON. Judged is by
the budgets of the suite, measured anew for each example; an example whose honest results in the
precision under test are not finite says nothing, and is unsuitable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel_conformance.cases.trial import Trial, check_gradients, check_values
from lmkernel_conformance.discrepancy import Discrepancy

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel_conformance.exploration.draw import Draw, Drawn
    from lmkernel_conformance.subject import Subject

__all__ = ["BOTH", "NARROW", "Property", "Unsuitable", "judged", "tried"]

BOTH = ("float32", "float64")
NARROW = (*BOTH, "bfloat16", "float16")
_WAYS = ("value", "value", "value", "value", "gradient", "gradient", "compiled")


class Unsuitable(Exception):  # noqa: N818 - no error: the example is outside what can be judged
    """An example whose honest result is not finite in the precision under test."""


@final
@dataclass(frozen=True, kw_only=True)
class Property:
    """What holds for every example.

    Args:
        name: of the operation, and what of it where there are several.
        draw: draws an example.
        check: judges a backend on it; raises `Discrepancy`.
        dtypes: floating dtypes that it holds in.
    """

    name: str
    draw: Callable[[Draw], Drawn]
    check: Callable[[Subject, Drawn], None]
    dtypes: tuple[str, ...] = BOTH


def judged(subject: Subject, made: Property, drawn: Drawn) -> None:
    """Check one example, with budgets of its own; raises `Discrepancy` or `Unsuitable`."""
    own = replace(subject, known={})
    try:
        with np.errstate(all="ignore"):  # of what is unsuitable
            made.check(own, drawn)
    finally:
        if not all(_finite(limit) for found in own.known.values() for limit in found):
            raise Unsuitable(f"{made.name}: honest results are not finite")


def _finite(limit: Any) -> bool:
    return bool(np.isfinite(limit.honest)) and bool(np.isfinite(limit.reference).all())


def tried(
    name: str,
    draw: Callable[[Draw], Drawn],
    make: Callable[[Drawn], Trial],
    *,
    dtypes: tuple[str, ...] = BOTH,
    gradients: bool = True,
    saturates: bool = False,
) -> Property:
    """A property of a trial: its value, its gradients, or its value when compiled.

    Args:
        name: of the operation.
        draw: draws what the trial is made of.
        make: makes it.
        dtypes: floating dtypes that it holds in; 16 bits have values alone.
        gradients: whether it has gradients.
        saturates: whether its gradients are differences of nearly equal numbers where it is flat,
            so that honest errors there are luck: they are asked for at a scale of 1 at most, and
            an example that fails where a gradient is zero throughout is unsuitable.
    """
    ways = _WAYS if gradients else tuple(way for way in _WAYS if way != "gradient")

    def drawn(d: Draw) -> Drawn:
        way, found = d.pick(ways), draw(d)
        return {"way": way, **(_calm(found) if saturates and way == "gradient" else found)}

    def check(s: Subject, drawn: Drawn) -> None:
        made = make(drawn)
        if drawn["way"] == "gradient" and not s.precision.narrow:
            _check_slopes(s, made, saturates=saturates)
        else:
            check_values(s, _compiled(made) if drawn["way"] == "compiled" else made)

    return Property(name=name, draw=drawn, check=check, dtypes=dtypes)


def _check_slopes(s: Subject, made: Trial, *, saturates: bool) -> None:
    try:
        check_gradients(s, made)
    except Discrepancy:
        flat = [not limit.reference.any() for found in s.known.values() for limit in found]
        if saturates and any(flat):
            raise Unsuitable("a gradient is zero throughout") from None
        raise


def _calm(drawn: Any) -> Any:
    """The same with scales of 1 at most."""
    if not isinstance(drawn, dict):
        return drawn
    calm = {name: _calm(value) for name, value in drawn.items()}
    return (
        {**calm, "scale": min(1.0, calm["scale"])} if "seed" in calm and "scale" in calm else calm
    )


def _compiled(made: Trial) -> Trial:
    """The same, its native side compiled."""
    return replace(made, native=lambda s, t: s.ops.compile(lambda x: made.native(s, x))(t))
