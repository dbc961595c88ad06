"""The property of a backend's state: whatever came before, each step gives what it gives alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel_conformance.cases.walk import RULES, Walk
from lmkernel_conformance.exploration.property import Property

if TYPE_CHECKING:
    from lmkernel_conformance.exploration.draw import Draw, Example
    from lmkernel_conformance.subject import Subject

__all__ = ["PROPERTIES"]


def _draw_walk(d: Draw) -> Example:
    count = d.integer(1, 30)
    return {"program": [[d.pick(RULES), d.integer(0, 99)] for _ in range(count)]}


def _check_walk(s: Subject, drawn: Example) -> None:
    """Compiled functions, scopes, threads, exceptions and donated buffers, in any order."""
    Walk(s, gradients=True).run(drawn["program"])


PROPERTIES = (Property(name="state", draw=_draw_walk, check=_check_walk),)
