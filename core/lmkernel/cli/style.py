"""Colour for the terminal."""

from __future__ import annotations

import functools
import os
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from lmkernel.results import Paint

__all__ = ["paint", "painter"]

_CODES = MappingProxyType({"red": 31, "green": 32, "yellow": 33, "cyan": 36, "dim": 2, "bold": 1})


def wants_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal that shows colour, and ``NO_COLOR`` is unset or empty.

    Source: no-color.org.
    """
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: TextIO) -> str:
    """``text`` in a colour or weight, if the stream wants it, else as it is."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if wants_colour(stream) else text


def painter(stream: TextIO) -> Paint:
    """`paint` for one stream."""
    return functools.partial(paint, stream=stream)
