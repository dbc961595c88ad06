"""Which lines of the mutated sources each case runs, measured once on correct backends.

Constraint: by tracing, since that is there on every Python that the suite supports; only functions
of the mutated sources are followed line by line.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

__all__ = ["Lines", "reached"]

Lines = frozenset[tuple[str, int]]


def reached(files: Iterable[str], run: Callable[[], Any]) -> Lines:
    """(file, line) of all that ``run`` runs of the files."""
    wanted, seen = frozenset(files), set()

    def line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            seen.add((frame.f_code.co_filename, frame.f_lineno))
        return line

    def call(frame: FrameType, _: str, __: Any) -> Any:
        if frame.f_code.co_filename not in wanted:
            return None
        seen.add((frame.f_code.co_filename, frame.f_lineno))
        return line

    before = sys.gettrace()
    sys.settrace(call)
    try:
        run()
    finally:
        sys.settrace(before)
    return frozenset(seen)
