"""Pictures from files, bytes or arrays, as red, green and blue.

Constraint: a file is a stranger's. Its header says how large it is, and that is compared with
limits before anything is decoded; only formats that Pillow decodes by itself are tried.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import warnings
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.arguments import refuse_masked
from lmkernel.errors import InputError, MissingDependencyError
from lmkernel.files import open_regular
from lmkernel.paths import user_path

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    Picture = str | os.PathLike[str] | bytes | NDArray[np.uint8]

__all__ = ["MOST_PIXELS", "STEEPEST", "picture_name", "pillow", "read_picture"]

MOST_PIXELS = 89_478_485
"""The most pixels of a picture, a quarter of a gigabyte: Pillow's own limit by default."""
_MOST_OF = MappingProxyType({"WEBP": MOST_PIXELS // 2, "AVIF": MOST_PIXELS // 2})
"""Fewer of formats whose libraries hold a picture several times while they decode it."""
STEEPEST = 200
"""The longer side of a picture over the shorter one, at most."""
_SMALLEST = 2
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
_MOST_WORK = 20 * MOST_PIXELS
"""Pixels that are decoded in all: a JPEG file may have any number of scans, usually ten."""
_SCAN, _STEP = b"\xff\xda", 1 << 20
_MOST_PARTS = 500_000
"""Reads of a file at most; a picture of `MOST_PIXELS` in chunks of 8 KB takes half as many."""
_PLAIN_HEAD, _PLAIN_WORDS = 4096, 3
"""Bytes in which a PPM file says its kind, width and height; Pillow reads it byte by byte."""
_PLAIN, _MOST_PLAIN = (b"P1", b"P2", b"P3"), 2**21
"""Kinds of PPM files whose pixels are words, and how many: Pillow reads a million in a second."""
_CHANNELS, _AXES = 3, 3
_ROWS = 256


def pillow() -> ModuleType:
    """Pillow's module of pictures.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError(
            "pictures: Pillow is not installed; run: pip install 'lmkernel[vision]'"
        ) from error
    found: ModuleType = Image
    return found


def read_picture(source: Picture) -> NDArray[np.uint8]:
    """A picture as red, green and blue, ``(height, width, 3)``.

    It is turned as its EXIF orientation says. Palettes become colours, grey becomes three equal
    channels, 16 bits become the upper 8, and transparency is dropped; of several frames the first
    counts.

    Args:
        source: a file's path, its bytes, or pixels: uint8 ``(height, width, 3)`` or
            ``(height, width)``.

    Raises:
        InputError: no picture, one that ends early, or whose size is not between 2×2 and
            `MOST_PIXELS` pixels (half as many of WebP and AVIF, two million where a PPM file spells
            them), or a side of more than `STEEPEST`
            times the other; one of hundreds of thousands of chunks, segments or blocks.
        MissingDependencyError: Pillow is not installed.
    """
    if isinstance(source, np.ndarray):
        refuse_masked(source, "pixels")
        return _from_pixels(source)
    if isinstance(source, bytes):
        return _decode(io.BytesIO(source), picture_name(source))
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"expected a picture's path, bytes or pixels, got {type(source).__name__}")
    path = user_path(Path(source), InputError)
    with open_regular(path, InputError) as file:
        return _decode(file, str(path))


def picture_name(source: object) -> str:
    """What a picture is called in results and messages."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return f"a picture of {len(source)} bytes" if isinstance(source, bytes) else "a picture"


def _from_pixels(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.ndim == _AXES - 1:
        pixels = np.stack([pixels] * _CHANNELS, -1)
    if pixels.dtype != np.uint8 or pixels.ndim != _AXES or pixels.shape[2] != _CHANNELS:
        raise InputError(
            "expected pixels as uint8 (height, width, 3) or (height, width), "
            f"got {pixels.dtype} {pixels.shape}"
        )
    _check_size(pixels.shape[1], pixels.shape[0], "a picture")
    return pixels


def _decode(file: Any, where: str) -> NDArray[np.uint8]:
    library = pillow()
    try:
        with warnings.catch_warnings():
            # what Pillow warns of, such as damaged EXIF data, leaves the pixels as they are
            warnings.simplefilter("ignore")
            plain = _check_head(file, where)
            with library.open(_Parts(file, where), formats=_FORMATS) as image:
                most = _MOST_PLAIN if plain else _MOST_OF.get(image.format, MOST_PIXELS)
                _check_size(image.width, image.height, where, most)
                if image.format in ("JPEG", "MPO"):
                    _check_scans(file, image.width * image.height, where)
                image.load()
                # Pillow has 16 bits of a PPM file as 32
                deep = image.mode.startswith("I;16") or (image.mode, image.format) == ("I", "PPM")
                return _colours(_upright(image), where, deep=deep)
    except InputError:
        raise
    except library.UnidentifiedImageError as error:
        raise InputError(f"{where}: expected a picture ({', '.join(_FORMATS)})") from error
    except library.DecompressionBombError as error:
        raise InputError(f"{where}: expected at most {MOST_PIXELS} pixels, got more") from error
    except Exception as error:  # decoders raise whatever meets them in damaged files
        raise InputError(f"{where}: the picture is damaged or ends early: {error}") from error


def _check_size(width: int, height: int, where: str, most: int = MOST_PIXELS) -> None:
    """Compare what a header claims with the limits, before there is memory for it."""
    size, short = f"{width}×{height}", min(width, height)
    if short < _SMALLEST:
        raise InputError(f"{where}: expected {_SMALLEST}×{_SMALLEST} pixels or more, got {size}")
    if width * height > most:
        raise InputError(f"{where}: expected at most {most} pixels, got {size}")
    if max(width, height) > STEEPEST * short:
        raise InputError(
            f"{where}: expected a side of at most {STEEPEST} times the other, got {size}"
        )


def _check_head(file: Any, where: str) -> bool:
    """Whether it is a PPM file of words; one that begins with nothing but spaces is refused."""
    head = file.read(_PLAIN_HEAD)
    file.seek(0)
    words = re.sub(rb"#[^\r\n]*", b"", head).split()
    if head[:1] == b"P" and head[1:2].isdigit() and len(words) < _PLAIN_WORDS:
        raise InputError(
            f"{where}: expected a width and a height in the first {_PLAIN_HEAD} bytes, got none"
        )
    return bool(head.startswith(_PLAIN))


def _check_scans(file: Any, pixels: int, where: str) -> None:
    """Refuse a picture that is drawn over so often that it takes minutes."""
    at = file.tell()
    file.seek(0)
    scans = sum(part.count(_SCAN) for part in iter(lambda: file.read(_STEP), b""))
    file.seek(at)
    if scans * pixels > _MOST_WORK:
        raise InputError(
            f"{where}: expected at most {_MOST_WORK // pixels} scans of {pixels} pixels, "
            f"got {scans}"
        )


@final
class _Parts:
    """A file of which Pillow reads each chunk, segment and block by itself, and not without end."""

    def __init__(self, file: Any, where: str) -> None:
        self._file, self._where, self._left = file, where, _MOST_PARTS

    def read(self, *size: int) -> Any:
        if not self._left:
            raise InputError(
                f"{self._where}: expected a picture in at most {_MOST_PARTS} parts, got more"
            )
        self._left -= 1
        return self._file.read(*size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _upright(image: Any) -> Any:
    from PIL import ImageOps

    with contextlib.suppress(Exception):  # an orientation that cannot be read is none
        return ImageOps.exif_transpose(image)
    return image


def _colours(image: Any, where: str, *, deep: bool) -> NDArray[np.uint8]:
    if deep:
        # Pillow would cut at 255 what is larger
        return _from_pixels((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise InputError(f"{where}: expected 8 or 16 bits a channel, got 32")
    found = np.empty((image.height, image.width, _CHANNELS), np.uint8)
    # some rows at a time, since Pillow holds four bytes a pixel in each step
    for top in range(0, image.height, _ROWS):
        rows = image.crop((0, top, image.width, min(top + _ROWS, image.height)))
        # a palette whose colours are partly transparent goes through RGBA: the same colours
        step = rows.convert("RGBA") if "transparency" in image.info else rows
        found[top : top + _ROWS] = np.asarray(step.convert("RGB"), np.uint8)
    return found
