"""Where an error comes from: the backend's own frame, and the arrays that it was called with."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmkernel.plugins.places import package_of, places_of

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["find_place"]

_MOST = 6
"""So many arrays of a call are described."""


def find_place(error: BaseException, package: str) -> str:
    """The innermost line of a package that an error went through, and its function's arrays.

    What a framework raises inside itself names the framework's file, of which the backend's author
    knows nothing. Where the package has no part in it, the line that raised.

    Args:
        error: what was raised.
        package: the backend's own package, such as ``"lmkernel_torch"``.
    """
    places = places_of(error)
    own = [place for place in places if package_of(place) == package]
    if not places:
        return ""
    frame, line = (own or places)[-1]
    place = f"{Path(frame.f_code.co_filename).name}:{line}"
    return f"{place} in {_describe_call(frame)}" if own else place


def _describe_call(frame: FrameType) -> str:
    """A function's name, and the shapes and dtypes of the arrays among its arguments."""
    names, extra, options, values = inspect.getargvalues(frame)
    given: dict[str, Any] = {
        name: values.get(name) for name in names if name not in ("self", "cls")
    }
    if extra:
        given |= {f"{extra}[{i}]": x for i, x in enumerate(values[extra])}
    if options:
        given |= values[options]
    arrays = [f"{name} {_describe_array(x)}" for name, x in given.items() if hasattr(x, "shape")]
    more = [f"{len(arrays) - _MOST} more"] * (len(arrays) > _MOST)
    return f"{frame.f_code.co_name}({', '.join([*arrays[:_MOST], *more])})"


def _describe_array(x: Any) -> str:
    try:
        shape, kind = tuple(x.shape), str(getattr(x, "dtype", "")).rpartition(".")[2]
    except Exception:  # noqa: BLE001 - an array that fails here as well is no news
        return "?"
    return f"{shape} {kind}".strip()
