"""A picture in tiles: how many, what is in each, and what a file may not say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmkernel.errors import CheckpointError
from lmkernel.families.hf_config import HfConfig
from lmkernel.families.picture_tokens import PictureTokens
from lmkernel.pictures.tiles import read_tiles

SAID = {
    "image_processor_type": "Idefics3ImageProcessor",
    "size": {"longest_edge": 32},
    "max_image_size": {"longest_edge": 16},
    "do_rescale": False,
    "do_normalize": False,
}


def squares(rows: int, columns: int) -> np.ndarray:
    """A square of 16 pixels of its own colour for each tile."""
    colours = np.arange(rows * columns, dtype=np.uint8).reshape(rows, columns) * 10
    return np.repeat(np.repeat(np.stack([colours] * 3, -1), 16, 0), 16, 1)


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (1, 2), (2, 1)])
def test_tiles_are_the_picture_row_by_row(rows: int, columns: int) -> None:
    found = read_tiles(HfConfig(SAID), "")(squares(rows, columns))
    assert (found.rows, found.columns) == (rows, columns)
    assert found.pixels.shape == (rows * columns + 1, 3, 16, 16)
    for number, tile in enumerate(found.pixels[:-1]):
        np.testing.assert_array_equal(tile, np.full((3, 16, 16), number * 10, np.float32))
    whole = found.pixels[-1]
    assert whole.min() == 0
    assert whole.max() == (rows * columns - 1) * 10


def test_a_picture_that_fits_is_one_tile() -> None:
    said = {**SAID, "size": {"longest_edge": 16}}
    found = read_tiles(HfConfig(said), "")(squares(1, 1))
    assert (found.rows, found.columns, len(found.pixels)) == (0, 0, 1)
    whole = read_tiles(HfConfig({**SAID, "do_image_splitting": False}), "")(squares(2, 2))
    assert (whole.rows, whole.columns, len(whole.pixels)) == (0, 0, 1)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"do_resize": False}, "do_resize: expected True"),
        ({"size": {"height": 4, "width": 4}}, "size: expected longest_edge"),
        ({"max_image_size": {"longest_edge": 0}}, "max_image_size: expected sides of 1 to"),
        (
            {"size": {"longest_edge": 4096}, "max_image_size": {"longest_edge": 64}},
            "max_image_size: expected tiles of which there are 1024 at most, got 64",
        ),
        ({"image_processor_type": "Idefics3000"}, "image_processor_type: expected one of"),
        ({"resample": 9}, "resample: expected a filter"),
        ({"do_flip_channel_order": True}, "do_flip_channel_order: expected False"),
    ],
)
def test_what_cannot_be_read_is_refused(said: dict[str, Any], expected: str) -> None:
    with pytest.raises(CheckpointError, match=expected):
        read_tiles(HfConfig({**SAID, **said}), "")


def test_the_text_of_a_picture() -> None:
    tokens = PictureTokens(around="|", whole="W", tile="{}.{}")
    assert tokens.text("vv", 2, 2) == "|1.1vv|1.2vv\n|2.1vv|2.2vv\n\n|Wvv|"
    assert tokens.text("vv", 0, 0) == "|Wvv|"
    assert PictureTokens().text("vv", 0, 0) == "vv"
