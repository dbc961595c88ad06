"""Where an error comes from: the frames of a plugin's own package that it went through."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Place", "package_of", "places_of"]

Place = tuple["FrameType", int]
"""A frame and the line in it."""


def places_of(error: BaseException) -> list[Place]:
    """Those that an error went through, innermost last."""
    return list(traceback.walk_tb(error.__traceback__))


def package_of(place: Place) -> str:
    """The package that the code of a frame belongs to, such as ``"lmkernel_torch"``."""
    return str(place[0].f_globals.get("__name__", "")).partition(".")[0]
