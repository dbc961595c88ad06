"""Whether a file of sound holds as many bytes as it announces.

libsndfile takes what is there for the whole, so a file that was cut would be a shorter sound.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, Literal

from lmkernel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OPEN_ENDED", "check_end", "samples_chunk"]

OPEN_ENDED = 0x7FFFF000
"""Sizes from here on are what programs write that cannot go back to the header of a pipe."""
_HEAD, _CAF_HEAD, _NAME, _WIDE, _MOST_CHUNKS, _LARGEST = 12, 8, 4, 8, 1000, 1 << 50
"""Bytes before the first chunk, of a chunk's name, and of its size in CAF; chunks before the
samples; and what no file holds."""
_PAGE_HEAD, _MOST_PAGE = 27, 65_307
"""Bytes of a page of Ogg before its lacing, and of a whole one at most (RFC 3533, section 6)."""
_FLAGS, _LAST = 5, 4
"""Where a page has its flags, and that of the last one."""

_Order = Literal["little", "big"]


def samples_chunk(file: BinaryIO) -> tuple[int, int]:
    """Where the samples of a WAV or AIFF file begin, and how many bytes of them are announced.

    Raises:
        InputError: it holds none, or too much comes before them.
    """
    file.seek(0)
    form = file.read(4)
    order: _Order = "big" if form == b"FORM" else "little"
    name = b"SSND" if form == b"FORM" else b"data"
    long = None  # RF64 has the sizes that do not fit in four bytes in a chunk of their own
    for head, at, size in _chunks(file, _HEAD, 4, order):
        if head == b"ds64" and form == b"RF64":
            file.seek(at + 8)
            long = int.from_bytes(file.read(8), "little")
        if head == name:
            return at, size if long is None else long
    raise InputError(f"no {_kind(form)} file that can be read: it holds no samples")


def _chunks(file: BinaryIO, at: int, width: int, order: _Order) -> Iterator[tuple[bytes, int, int]]:
    """Names of the chunks from a byte on, where their contents begin, and their sizes.

    A size has 4 bytes, or 8 in CAF, where -1 is one that is not known.
    """
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(_NAME + width)
        size = int.from_bytes(head[_NAME:], order, signed=width == _WIDE)
        if len(head) < _NAME + width or size > _LARGEST:
            return
        at += len(head)
        yield head[:_NAME], at, size
        at += max(0, size) + (size % 2 if width < _WIDE else 0)


def _kind(form: bytes) -> str:
    return "AIFF" if form == b"FORM" else "WAV"


def check_end(file: BinaryIO) -> None:
    """Refuse a file that ends before what it announces.

    FLAC and MP3 are not looked at: they count samples, which are compared when they are decoded.

    Raises:
        InputError: it ends early.
    """
    file.seek(0)
    head = file.read(_HEAD)
    there = file.seek(0, os.SEEK_END)
    if head[:4] == b"OggS":
        _check_last_page(file, there)
        return
    if head[:4] in (b"RIFF", b"RF64", b"FORM"):
        begin, size = samples_chunk(file)
    elif head[:4] == b"caff":
        begin, size = _caf_samples(file)
    elif head[:4] == b".snd":
        begin, size = (int.from_bytes(head[i : i + 4], "big") for i in (4, 8))
    else:
        return
    open_ended = OPEN_ENDED <= size < 1 << 32
    if begin + size > there and not open_ended:
        got = max(0, there - begin)
        raise InputError(f"the file ends early: expected {size} bytes of samples, got {got}")


def _caf_samples(file: BinaryIO) -> tuple[int, int]:
    for name, at, size in _chunks(file, _CAF_HEAD, _WIDE, "big"):
        if name == b"data":
            return at, size
    raise InputError("no CAF file that can be read: it holds no samples")


def _check_last_page(file: BinaryIO, there: int) -> None:
    """Refuse an Ogg file whose last page is cut, or is not marked as the last one."""
    file.seek(max(0, there - 2 * _MOST_PAGE))
    tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS\0")) :]
    if not _is_whole(page) or not page[_FLAGS] & _LAST:
        raise InputError("the file ends early: expected a page marked as the last, got none")


def _is_whole(page: bytes) -> bool:
    """Whether a page of Ogg has all the bytes that its lacing counts."""
    if len(page) < _PAGE_HEAD:
        return False
    end = _PAGE_HEAD + page[_PAGE_HEAD - 1]
    lacing = page[_PAGE_HEAD:end]
    return len(page) >= end + sum(lacing)
