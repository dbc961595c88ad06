"""The cases of a design: one of the value, and one of the gradients, for each of its rows."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.cases.case import Case
from lmkernel_conformance.cases.layouts import settle
from lmkernel_conformance.cases.trial import Trial, check_gradients, check_values
from lmkernel_conformance.designs import DESIGNS, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmkernel_conformance.designs import Row
    from lmkernel_conformance.subject import Subject

    Make = Callable[[Row, str], Trial | Callable[[Subject], Trial]]

__all__ = ["MOST", "designed"]

MOST = 17_000
"""No gradient is taken of more elements than these: it is shown by the smaller rows."""
_NARROW = ("bfloat16", "float16")


def designed(
    name: str,
    *,
    level: str = "operations",
    gradients: Callable[[Row], bool] = lambda _: True,
    narrow: bool = True,
) -> Callable[[Make], tuple[Case, ...]]:
    """Make cases of a function that gives a `Trial` for a row of a design, or one for a subject.

    Args:
        name: the name of the design.
        level: the level of the cases; gradients of operations have a level of their own.
        gradients: whether gradients of a row are taken, of its arrays that are not too large.
        narrow: whether rows run in 16 bits.
    """

    def make_cases(make: Make) -> tuple[Case, ...]:
        doc = (make.__doc__ or "").strip()

        def make_row(number: int, row: Row) -> Iterator[Case]:
            purpose = f"design.{name}.{number:03d}"
            build = functools.partial(_build, make, row, purpose)
            about: dict[str, Any] = {
                "doc": f"{doc[:-1]}: {', '.join(f'{k} {v}' for k, v in row.items())}.",
                "design": name,
                "tried": row,
            }
            yield Case(
                level=level,
                name=purpose,
                run=lambda s: check_values(s, build(s)),
                dtypes=_value_dtypes(number, narrow=narrow),
                **about,
            )
            if gradients(row):
                yield Case(
                    level="gradients" if level == "operations" else level,
                    name=f"{purpose}.gradient",
                    run=lambda s: _check_small_gradients(s, build(s)),
                    dtypes=("float32", "float64")[number % 2 :][:1],
                    training=True,
                    **about,
                )

        rows = read_rows(DESIGNS[name])
        return tuple(one for i, row in enumerate(rows) for one in make_row(i, row))

    return make_cases


def _value_dtypes(number: int, *, narrow: bool) -> tuple[str, ...]:
    """Every row runs in float32, and every other one in turn in one of the others as well."""
    more = ("float64", *_NARROW) if narrow else ("float64",)
    return ("float32",) if number % 2 else ("float32", more[number // 2 % len(more)])


def _build(make: Make, row: Row, purpose: str, s: Subject) -> Trial:
    """The trial of a row, with numbers that its layout can hold."""
    made, layout = make(row, purpose), str(row.get("layout", "plain"))
    found = made if isinstance(made, Trial) else made(s)
    inputs, fixed = (
        {name: settle(x, layout) for name, x in hosts.items()}
        for hosts in (found.inputs, found.fixed)
    )
    return replace(found, inputs=inputs, fixed=fixed, layout=layout)


def _small(t: Trial) -> dict[str, Any]:
    """The arrays of which gradients are taken."""
    return {name: x for name, x in t.inputs.items() if math.prod(x.shape) <= MOST}


def _check_small_gradients(s: Subject, t: Trial) -> None:
    """Judge the gradients of the arrays that are not too large."""
    small = _small(t)
    rest = {name: x for name, x in t.inputs.items() if name not in small}
    check_gradients(s, replace(t, inputs=small, fixed={**t.fixed, **rest}))
