"""`asarray` and `to_numpy`, whose results are looked at where they come in.

All that goes to a backend and comes from it passes here, so what is no array of the dtype and the
shape that it must have is told by the backend's name, and nowhere else.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast, final

from lmkernel.contract.capabilities import WIDE
from lmkernel.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, MandatoryOps

__all__ = ["with_checked_border"]


def with_checked_border(ops: MandatoryOps, backend: str) -> MandatoryOps:
    """The same operations, with a look at what these two give.

    Args:
        ops: the mandatory tier of a backend.
        backend: its name, for the `PluginError` that a call raises whose result is something else.
    """
    import numpy as np  # listing backends does without it

    # each says what it wraps, so that who looks at an operation's code finds the backend's own
    @functools.wraps(ops.asarray)
    def asarray(value: Any, dtype: DType, *, copy: bool = True) -> Array:
        try:
            made = ops.asarray(value, dtype, copy=copy)
        except Exception:
            # frameworks know no other order of bytes than the machine's, and say so; asked before,
            # an array's dtype is in the way of what traces the call
            if not isinstance(value, np.ndarray) or value.dtype.isnative:
                raise
            native = value.astype(value.dtype.newbyteorder("="))
            made = ops.asarray(native, dtype, copy=copy)
        shape = getattr(value, "shape", None)  # of lists it would have to be counted
        try:
            right = ops.dtype(made) == dtype and (shape is None or tuple(made.shape) == shape)
        except Exception:  # noqa: BLE001 - whatever it gave instead of an array may do anything
            right = False
        if not right:
            expected = dtype if shape is None else f"{dtype} {tuple(shape)}"
            raise PluginError(
                f"backend {backend!r}, asarray: expected an array of {expected}, got {_said(made)}"
            )
        return made

    @functools.wraps(ops.to_numpy)
    def to_numpy(x: Array) -> np.ndarray[Any, Any]:
        host: Any = ops.to_numpy(x)  # whatever it is
        dtype = ops.dtype(x)
        wide = WIDE.get(dtype, dtype)
        if not isinstance(host, np.ndarray) or host.dtype != wide or host.shape != tuple(x.shape):
            raise PluginError(
                f"backend {backend!r}, to_numpy: expected a NumPy array of {wide} "
                f"{tuple(x.shape)}, got {_said(host)}"
            )
        found: np.ndarray[Any, Any] = host
        return found

    return cast("MandatoryOps", _Border(ops, asarray, to_numpy))


@final
class _Border:
    """A mandatory tier with two operations in the place of its own."""

    def __init__(
        self, ops: MandatoryOps, asarray: Callable[..., Any], to_numpy: Callable[..., Any]
    ) -> None:
        self._ops, self.asarray, self.to_numpy = ops, asarray, to_numpy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ops, name)


def _said(made: object) -> str:
    """What came in the place of an array, which may be anything."""
    try:
        return f"{type(made).__name__} of {made.dtype} {tuple(made.shape)}"  # type: ignore[attr-defined]  # if it has them
    except Exception:  # noqa: BLE001 - as above
        return type(made).__name__
