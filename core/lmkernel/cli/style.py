"""Colour and columns for the terminal."""

from __future__ import annotations

import os
from itertools import zip_longest
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["columns", "human_size", "paint", "wants_colour"]

_CODES = MappingProxyType({"red": 31, "green": 32, "yellow": 33, "cyan": 36, "dim": 2, "bold": 1})


def wants_colour(stream: TextIO) -> bool:
    """Whether a stream is a terminal that shows colour, and ``NO_COLOR`` is unset or empty.

    Source: no-color.org.
    """
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: TextIO) -> str:
    """``text`` in a colour or weight, if the stream wants it, else as it is."""
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if wants_colour(stream) else text


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines with aligned columns; the last cell of a row takes what it needs."""
    widths = [
        max(len(cell) for cell in column)
        for column in zip_longest(*(row[:-1] for row in rows), fillvalue="")
    ]
    return "\n".join("  ".join(_padded(row, widths)).rstrip() for row in rows)


def human_size(size: int) -> str:
    """Bytes with a prefix of the SI: ``"538 MB"``."""
    if size < 1000:  # noqa: PLR2004 - the SI's step
        return f"{size} B"
    value = float(size)
    for prefix in "kMGT":
        value /= 1000
        if value < 999.5 or prefix == "T":  # noqa: PLR2004 - what rounds to 1000 takes the next
            break
    return f"{value:.{1 if value < 9.95 else 0}f} {prefix}B"  # noqa: PLR2004 - two digits at least


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)), *row[-1:]]
