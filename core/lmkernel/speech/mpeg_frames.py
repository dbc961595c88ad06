"""MP3 files that do not say how long they are: their frames are counted, and a header says so.

A decoder guesses the length of a file without a header from its first frame, and stops there; with
a variable bit rate the guess is anything. So the frames are counted (ISO/IEC 11172-3, section
2.4.2.3), and the file is read behind one more frame, which holds Xing's count of them.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Self, cast, final

from lmkernel.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["FrameCounts", "with_count"]

FrameCounts = dict[tuple[int, int, bytes], int]
"""Numbers of frames by the size of a file, when it was changed last, and how it begins."""

_HEAD = 4
_MPEG_1 = 3
"""The number of version MPEG-1; 2 is that of MPEG-2, and 0 of MPEG-2.5."""
_RATES = (44_100, 48_000, 32_000)
_KILOBITS = {
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates of layer III by their numbers from 1 on, of MPEG-1 and of the others."""
_COUNTED = (b"Xing", b"Info", b"VBRI")
_VBRI_AT = 36
_READ = 1 << 20
_TAG_HEAD, _TAG_FOOT = 10, 0x10
_MOST_TAGS, _MOST_PASSED, _MOST_FRAMES = 16, 1 << 18, 86_400 * 48_000 // 576
"""Bounds of what is looked through: tags; bytes that might begin a frame and do not; frames, more
than a day has."""


@final
@dataclass(frozen=True)
class _Frame:
    """The head of a frame of layer III.

    Args:
        mpeg_1: whether it is of MPEG-1, whose frames are twice as long.
        size: bytes.
        side: bytes of what stands between its head and its data.
        kind: the bits that all frames of a file share.
    """

    mpeg_1: bool
    size: int
    side: int
    kind: bytes

    @classmethod
    def of(cls, head: bytes) -> Self | None:
        """What four bytes say; None where they are no head of layer III with a known size."""
        if len(head) < _HEAD or head[0] != 0xFF or head[1] >> 5 != 7:  # noqa: PLR2004 - eleven ones
            return None
        version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
        bits, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
        if version == 1 or layer != 1 or rate == 3 or bits in {0, 15}:  # noqa: PLR2004 - reserved, free
            return None
        mpeg_1 = version == _MPEG_1
        hertz = _RATES[rate] >> (0 if mpeg_1 else 1 if version == 2 else 2)  # noqa: PLR2004 - MPEG-2
        size = (144 if mpeg_1 else 72) * 1000 * _KILOBITS[mpeg_1][bits - 1] // hertz + padding
        mono = head[3] >> 6 == 3  # noqa: PLR2004 - the number of one channel
        side = (17 if mono else 32) if mpeg_1 else (9 if mono else 17)
        return cls(mpeg_1, size, side, bytes((head[1] & 0xFE, head[2] & 0x0C)))


def with_count(file: BinaryIO, counts: FrameCounts | None = None) -> BinaryIO:
    """An MP3 file whose length a decoder knows: itself, or behind a frame that says it.

    Args:
        file: any file; one that is no MP3 of layer III, or counts its frames, is given back.
        counts: what was counted before; gets this one's.

    Raises:
        InputError: more tags, or more between frames, than a sound has.
    """
    begin = _behind_tags(file)
    file.seek(begin)
    head = file.read(_HEAD + 512)
    first = _Frame.of(head)
    if first is None or _is_counted(head, first):
        return file
    counts, seen = {} if counts is None else counts, (*_state(file), head)
    if seen not in counts:
        counts[seen] = _count(file, begin, first)
    said = _count_frame(head, first, counts[seen])
    return cast("BinaryIO", io.BufferedReader(_Behind(said, file, begin)))


def _state(file: BinaryIO) -> tuple[int, int]:
    """A file's size, and when it was changed last; 0 where it is in memory."""
    size = file.seek(0, os.SEEK_END)
    try:
        return size, os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return size, 0


def _is_counted(head: bytes, first: _Frame) -> bool:
    at = _HEAD + first.side
    return head[at : at + 4] in _COUNTED or head[_VBRI_AT : _VBRI_AT + 4] in _COUNTED


def _behind_tags(file: BinaryIO) -> int:
    """Where the first byte behind ID3's tags is (ID3v2.4, section 3.1)."""
    at = 0
    for _ in range(_MOST_TAGS):
        file.seek(at)
        head = file.read(_TAG_HEAD)
        if len(head) < _TAG_HEAD or head[:3] != b"ID3":
            return at
        size = 0
        for byte in head[6:]:
            size = size << 7 | byte & 0x7F
        at += _TAG_HEAD + size + (_TAG_HEAD if head[5] & _TAG_FOOT else 0)
    raise InputError(f"expected at most {_MOST_TAGS} tags before a sound, got more")


def _count(file: BinaryIO, begin: int, first: _Frame) -> int:
    """Number of whole frames from a byte on. What is between them is passed over."""
    count, passed, held = 0, 0, b""
    file.seek(begin)
    while count <= _MOST_FRAMES and (data := file.read(_READ)):
        held += data
        at = 0
        while at + _HEAD <= len(held):
            frame = _Frame.of(held[at : at + _HEAD])
            if frame is None or frame.kind != first.kind:
                found = held.find(b"\xff", at + 1)
                at = len(held) if found < 0 else found
                passed += 1
                if passed > _MOST_PASSED:
                    raise InputError("no MP3 file that can be read: too much between its frames")
            elif at + frame.size <= len(held):
                count, at = count + 1, at + frame.size
            else:
                break
        held = held[at:]
    return count


def _count_frame(head: bytes, first: _Frame, count: int) -> bytes:
    """A silent frame like the first one, with Xing's number of frames."""
    # without a checksum, which would stand before what is looked for
    begin = bytes((head[0], head[1] | 1, head[2] & ~2, head[3]))
    size = (_Frame.of(begin) or first).size
    content = begin + bytes(first.side) + b"Xing" + bytes((0, 0, 0, 1)) + count.to_bytes(4, "big")
    return content.ljust(size, b"\0")


@final
class _Behind(io.RawIOBase):
    """A file from a byte on, behind others."""

    def __init__(self, before: bytes, file: BinaryIO, begin: int) -> None:
        super().__init__()
        self._before, self._file, self._begin, self._at = before, file, begin, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a byte."""
        length = len(self._before) + self._file.seek(0, os.SEEK_END) - self._begin
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """The next bytes."""
        into = memoryview(buffer).cast("B")
        data = self._before[self._at : self._at + len(into)]
        if not data:
            self._file.seek(self._begin + self._at - len(self._before))
            data = self._file.read(len(into))
        into[: len(data)] = data
        self._at += len(data)
        return len(data)
