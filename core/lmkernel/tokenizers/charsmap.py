"""SentencePiece's table of what replaces characters, checked before a library walks through it.

It is a trie of the texts that are replaced, a double array of 32-bit units as the library
Darts-clone has it (https://github.com/s-yata/darts-clone), behind its size in bytes and before the
texts that they become, each with a zero at its end. The ``tokenizers`` library goes where the units
say, and ends in a panic where that is outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["check_charsmap"]

_SIZE, _MOST_UNITS = 4, 2**20
"""Bytes of a size and of a unit; and units of a table, of which published ones have 60,000."""
_BYTES = np.arange(1, 256)
_LABEL, _VALUE, _LAST, _ENDS = 0x800000FF, 0x7FFFFFFF, 0xFF, 0x100
"""Bits of a unit: of the byte that it is for, and of where a text is; the largest byte; the bit of
a node at which a text ends."""
_MANY = 4096
"""Nodes that are looked at together."""


def check_charsmap(data: bytes, where: str) -> None:
    """Refuse a table that leads out of itself.

    One that is shorter than its size is left to the library, which refuses it.

    Args:
        data: ``precompiled_charsmap``; empty where there is none.
        where: for messages.

    Raises:
        CheckpointError: it does, or is larger than tables are.
    """
    count = int.from_bytes(data[:_SIZE], "little") // _SIZE
    begin = _SIZE * (1 + count)
    if not data or len(data) < begin:
        return
    if count > _MOST_UNITS:
        raise CheckpointError(
            f"{where}: precompiled_charsmap: expected at most {_MOST_UNITS} units, got {count}"
        )
    units, texts = np.frombuffer(data, "<u4", count, _SIZE), data[begin:]
    if not count or not _stays_inside(units.astype(np.int64), texts):
        raise CheckpointError(
            f"{where}: precompiled_charsmap: expected a table that leads nowhere outside of "
            f"itself, got another, of {count} units"
        )


def _stays_inside(units: NDArray[np.int64], texts: bytes) -> bool:
    """Whether each node that a text may lead to is there, and what it becomes."""
    codes = np.frombuffer(texts + b"\0", np.uint8)
    begins = codes & 0xC0 != 0x80  # noqa: PLR2004 - what a byte within a character has
    seen, waiting = np.zeros(len(units), bool), [_far(units[:1])]
    while waiting:
        nodes = waiting.pop()
        if nodes.max() | _LAST >= len(units):
            return False
        seen[nodes] = True
        places = nodes[:, None] ^ _BYTES
        found = units[places]
        follows = found & _LABEL == _BYTES
        found, further = found[follows], places[follows] ^ _far(found[follows])
        if further.max(initial=0) >= len(units):
            return False
        values = units[further[found & _ENDS > 0]] & _VALUE
        if values.max(initial=0) >= len(codes) or not begins[values].all():
            return False
        waiting += _in_parts(np.unique(further[~seen[further]]))
    return True


def _in_parts(nodes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    return (nodes[i : i + _MANY] for i in range(0, len(nodes), _MANY))


def _far(units: NDArray[np.int64]) -> NDArray[np.int64]:
    """How far from a node those after it are."""
    return units >> 10 << ((units & 1 << 9) >> 6)
