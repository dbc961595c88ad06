"""Pictures of every sort are read as people see them; what is none gets one clear sentence."""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from lmkernel.errors import InputError, MissingDependencyError
from lmkernel.pictures import reading
from lmkernel.pictures.reading import MOST_PIXELS, STEEPEST, read_picture

if TYPE_CHECKING:
    from pathlib import Path

PIXELS = np.random.default_rng(5).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def picture(pixels: np.ndarray = PIXELS) -> Image.Image:
    return Image.fromarray(pixels)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_a_file_without_loss_gives_its_pixels(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a picture"
    path.write_bytes(encoded(picture(), kind))
    np.testing.assert_array_equal(read_picture(path), PIXELS)
    np.testing.assert_array_equal(read_picture(str(path)), PIXELS)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_a_file_with_loss_is_near(kind: str) -> None:
    grey = np.full((16, 24, 3), 100, np.uint8)
    got = read_picture(encoded(picture(grey), kind)).astype(int)
    assert np.abs(got - 100).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_says_which_way_is_up(orientation: int) -> None:
    turned = {
        1: PIXELS,
        2: PIXELS[:, ::-1],
        3: PIXELS[::-1, ::-1],
        4: PIXELS[::-1],
        5: PIXELS.transpose(1, 0, 2),
        6: np.rot90(PIXELS, -1),
        7: PIXELS.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(PIXELS),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(read_picture(encoded(picture(), exif=exif)), turned[orientation])


def test_damaged_exif_data_leave_the_pixels() -> None:
    data = encoded(picture(), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff rubbish")
    np.testing.assert_array_equal(read_picture(data), PIXELS)


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_is_three_equal_channels(mode: str) -> None:
    image = picture().convert("L").convert(mode)
    got = read_picture(encoded(image))
    assert (got == got[..., :1]).all()
    np.testing.assert_array_equal(got[..., 0], np.asarray(image.convert("L")))


def test_sixteen_bits_become_the_upper_eight() -> None:
    deep = np.arange(0, 65536, 1213, dtype=np.uint16)[:54].reshape(6, 9)
    got = read_picture(encoded(Image.fromarray(deep)))
    np.testing.assert_array_equal(got[..., 0], deep >> 8)


def test_sixteen_bits_of_a_ppm_file_become_the_upper_eight() -> None:
    deep = np.arange(0, 65536, 1213, dtype=np.uint16)[:54].reshape(6, 9)
    got = read_picture(b"P5\n9 6\n65535\n" + deep.astype(">u2").tobytes())
    np.testing.assert_array_equal(got[..., 0], deep >> 8)


@pytest.mark.parametrize("transparent", [False, True])
def test_palettes_become_colours(transparent: bool) -> None:
    image = picture().quantize(7)
    options = {"transparency": bytes([0, 100, 255])} if transparent else {}
    np.testing.assert_array_equal(
        read_picture(encoded(image, **options)), np.asarray(image.convert("RGB"))
    )


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_rows_that_are_read_a_few_at_a_time_make_the_whole(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    image = picture().convert(mode)
    data = encoded(image, kind, **({"transparency": 3} if mode == "P" else {}))
    whole = read_picture(data)
    monkeypatch.setattr("lmkernel.pictures.reading._ROWS", 4)
    np.testing.assert_array_equal(read_picture(data), whole)


def test_transparency_is_dropped() -> None:
    image = picture().convert("RGBA")
    image.putalpha(7)
    np.testing.assert_array_equal(read_picture(encoded(image)), PIXELS)


def test_of_several_frames_the_first_counts() -> None:
    first, second = (Image.new("RGB", (4, 5), colour) for colour in ("red", "blue"))
    data = encoded(first, "GIF", save_all=True, append_images=[second])
    assert tuple(read_picture(data)[0, 0]) == (255, 0, 0)


def test_pixels_are_taken_as_they_are() -> None:
    np.testing.assert_array_equal(read_picture(PIXELS), PIXELS)
    np.testing.assert_array_equal(read_picture(PIXELS[..., 0])[..., 2], PIXELS[..., 0])


@pytest.mark.parametrize("wrong", [PIXELS / 255, PIXELS[None], np.zeros((4, 4, 4), np.uint8)])
def test_other_arrays_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"expected pixels as uint8 \(height, width, 3\)"):
        read_picture(wrong)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (1, 300), (30_000, 1), (1, 30_000)])
def test_a_picture_of_one_row_or_column_is_none(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"expected 2×2 pixels or more, got {size[0]}×{size[1]}"):
        read_picture(encoded(Image.new("RGB", size)))


@pytest.mark.parametrize("size", [(2 * STEEPEST + 1, 2), (3, 3 * STEEPEST + 1), (30_000, 2)])
def test_a_picture_far_longer_than_wide_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"at most {STEEPEST} times the other, got {size[0]}×"):
        read_picture(encoded(Image.new("L", size)))


def test_the_longest_that_is_taken() -> None:
    assert read_picture(encoded(Image.new("L", (2 * STEEPEST, 2)))).shape == (2, 2 * STEEPEST, 3)


def png_that_claims(width: int, height: int) -> bytes:
    """A small file whose header claims a size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


@pytest.mark.parametrize("side", [9_460, 14_000, 60_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused_by_its_header(side: int) -> None:
    with pytest.raises(InputError, match=f"expected at most {MOST_PIXELS} pixels, got"):
        read_picture(png_that_claims(side, side))


def test_a_format_that_takes_more_memory_has_a_lower_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "_MOST_OF", {"WEBP": 53})
    with pytest.raises(InputError, match="expected at most 53 pixels, got 9×6"):
        read_picture(encoded(Image.fromarray(PIXELS), "WEBP"))
    assert read_picture(encoded(Image.fromarray(PIXELS), "PNG")).shape == PIXELS.shape


def test_the_limit_does_not_depend_on_pillows_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(InputError, match=f"at most {MOST_PIXELS} pixels, got 14000×14000"):
        read_picture(png_that_claims(14_000, 14_000))


def scans(times: int) -> bytes:
    """A picture whose last scan is there so often."""
    data = encoded(picture(), "JPEG", progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:last] + data[last:-2] * times + data[-2:]


def test_a_picture_of_few_pixels_may_have_many_scans() -> None:
    assert read_picture(scans(40)).shape == (6, 9, 3)


def test_a_picture_that_is_drawn_over_for_ever_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmkernel.pictures.reading._MOST_WORK", 20 * 54)
    read_picture(scans(1))
    with pytest.raises(InputError, match="expected at most 20 scans of 54 pixels, got"):
        read_picture(scans(40))


@pytest.mark.parametrize(("kind", "channels"), [("P1", 1), ("P2", 1), ("P3", 3)])
def test_a_ppm_file_of_very_many_words_is_refused(
    kind: str, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = "" if kind == "P1" else "1\n"
    whole = f"{kind}\n4 3\n{top}".encode() + b"1 " * (12 * channels)
    assert read_picture(whole).shape == (3, 4, 3)
    monkeypatch.setattr(reading, "_MOST_PLAIN", 11)
    with pytest.raises(InputError, match="expected at most 11 pixels, got 4×3"):
        read_picture(whole)


EMPTY = struct.pack(">I4sI", 0, b"abCd", zlib.crc32(b"abCd"))


@pytest.mark.parametrize(
    ("kind", "before", "part"),
    [
        ("PNG", b"IDAT", EMPTY),
        ("PNG", b"IEND", EMPTY),
        ("JPEG", b"\xff\xdb", b"\xff\xfe\x00\x02"),
        ("JPEG", b"\xff\xdb", b"\xff"),
        ("GIF", b",", b"\x21\xfe\x01x\x00"),
    ],
    ids=["chunks before", "chunks behind", "segments", "fill bytes", "extensions"],
)
def test_a_picture_of_parts_that_say_nothing_is_refused(
    kind: str, before: bytes, part: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = encoded(picture(), kind)
    at = whole.index(before) - 4 * (kind == "PNG")
    hostile = whole[:at] + part * 100 + whole[at:]
    assert read_picture(hostile).shape == PIXELS.shape
    monkeypatch.setattr(reading, "_MOST_PARTS", 100)
    assert read_picture(whole).shape == PIXELS.shape
    with pytest.raises(InputError, match="expected a picture in at most 100 parts, got more"):
        read_picture(hostile)


@pytest.mark.parametrize("between", [b" " * 5000, b"\n#" + b"x" * 5000 + b"\n"])
def test_a_header_that_never_comes_is_refused(between: bytes) -> None:
    with pytest.raises(InputError, match="width and a height in the first 4096 bytes"):
        read_picture(b"P6" + between + b"2 2 255\n" + bytes(12))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_a_file_that_ends_early_is_named(kind: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    data = encoded(picture(noise), kind)
    path = tmp_path / "cut"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"cut: (the picture is damaged|expected a picture)"):
        read_picture(path)


@pytest.mark.parametrize("data", [b"", b"\0", b"not a picture", b"RIFF\0\0\0\0WAVE", b"%!PS-Adobe"])
def test_what_is_no_picture_is_named(data: bytes) -> None:
    with pytest.raises(InputError, match=r"expected a picture \(PNG, JPEG"):
        read_picture(data)


def test_thirty_two_bits_are_refused() -> None:
    data = encoded(Image.new("F", (4, 4)), "TIFF")
    with pytest.raises(InputError, match="expected 8 or 16 bits a channel, got 32"):
        read_picture(data)


def test_a_missing_file_a_folder_and_a_pipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_picture(tmp_path / "none.png")
    with pytest.raises(InputError, match=r"^\S+: expected a regular file, got a folder$"):
        read_picture(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="expected a regular file, got a pipe"):
        read_picture(tmp_path / "pipe")


@pytest.mark.parametrize("wrong", [3, None, [1, 2]])
def test_other_values_are_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="expected a picture's path, bytes or pixels"):
        read_picture(wrong)


def test_without_pillow_it_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lmkernel\[vision\]'"):
        read_picture(b"anything")
