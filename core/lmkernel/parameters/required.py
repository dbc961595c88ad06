"""Parameters that a caller gives, beside those that a model declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lmkernel.errors import InputError, shown
from lmkernel.parameters.names import flatten

if TYPE_CHECKING:
    from lmkernel.interfaces import ParamTree

__all__ = ["require_values"]


def require_values(declared: ParamTree, values: object) -> None:
    """Compare names, shapes and kinds of values by dotted name.

    Raises:
        InputError: a parameter is missing or unknown, of another shape, or no real numbers.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"expected parameters by dotted name, got {shown(values)}")
    wanted = flatten(declared)
    for name in (*wanted, *values):
        if name not in values or name not in wanted:
            what = "missing" if name in wanted else "unknown"
            raise InputError(f"expected the {len(wanted)} parameters declared: {name!r} is {what}")
    for name, param in wanted.items():
        shape, dtype = (getattr(values[name], what, None) for what in ("shape", "dtype"))
        if shape != param.shape or getattr(dtype, "kind", "O") in "OUSc":
            got = type(values[name]).__name__ if shape is None else f"{shape} of {dtype}"
            raise InputError(f"{name}: expected numbers of shape {param.shape}, got {got}")
