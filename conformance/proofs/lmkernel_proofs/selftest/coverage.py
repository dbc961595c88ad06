"""Which lines of the mutated sources each case runs, measured once on correct backends.

Constraint: uses `sys.settrace`, which every supported Python has; `sys.monitoring` came with 3.12.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

__all__ = ["Lines", "trace_lines"]

Lines = frozenset[tuple[str, int]]


def trace_lines(files: Iterable[str], run: Callable[[], Any]) -> Lines:
    """Every (file, line) of ``files`` that ``run`` executes."""
    wanted, seen = frozenset(files), set()

    def line(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            seen.add((frame.f_code.co_filename, frame.f_lineno))
        return line

    def call(frame: FrameType, _: str, __: Any) -> Any:
        if frame.f_code.co_filename not in wanted:
            return None  # no line events for other files, which makes tracing affordable
        # Line events cover the body alone; the line of the ``def`` comes with the call.
        seen.add((frame.f_code.co_filename, frame.f_lineno))
        return line

    before = sys.gettrace()
    sys.settrace(call)
    try:
        run()
    finally:
        sys.settrace(before)
    return frozenset(seen)
