"""Whether autograd follows what is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autograd.tracer import isbox, trace_stack

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["is_traced"]


def is_traced(*values: Any) -> bool:
    """Whether one of the values, or of what is in them, is followed.

    Autograd counts the traces of all threads together, so that arrays have the last word.
    """
    return trace_stack.top >= 0 and _has_box(values)


def _has_box(values: Iterable[Any]) -> bool:
    return any(
        isbox(one)
        or (isinstance(one, list | tuple) and _has_box(one))
        or (isinstance(one, dict) and _has_box(one.values()))
        for one in values
    )
