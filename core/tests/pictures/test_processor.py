"""A ``preprocessor_config.json`` is read whole, with the defaults of its kind, or refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel.errors import CheckpointError
from lmkernel.families.hf_config import HfConfig
from lmkernel.pictures.processor import PictureProcessor, load_processor, read_processor

if TYPE_CHECKING:
    from pathlib import Path

VIT = {"image_processor_type": "ViTImageProcessor"}
CLIP = {"image_processor_type": "CLIPImageProcessor"}


@pytest.mark.parametrize("named", ["ViTImageProcessor", "ViTImageProcessorFast"])
def test_names_of_a_kind(named: str) -> None:
    assert read_processor(HfConfig({"image_processor_type": named})).size == (224, 224)


def test_an_older_name_and_older_sizes() -> None:
    old = {"feature_extractor_type": "ViTFeatureExtractor", "size": 384}
    assert read_processor(HfConfig(old)).size == (384, 384)
    older = {"feature_extractor_type": "CLIPFeatureExtractor", "size": 50, "crop_size": 40}
    made = read_processor(HfConfig(older))
    assert (made.size, made.shortest, made.crop) == (None, 50, (40, 40))


def test_a_file_that_names_no_kind_is_of_its_familys() -> None:
    assert read_processor(HfConfig({"size": 30}), "ViT").size == (30, 30)
    assert read_processor(HfConfig({"size": 30}), "CLIP").shortest == 30


def test_a_single_size_is_a_square_where_a_file_says_so() -> None:
    for square, found in ((True, ((30, 30), None)), (False, (None, 30))):
        values = {"size": 30, "default_to_square": square}
        for kind in ("ViT", "CLIP", "Siglip"):
            made = read_processor(HfConfig(values), kind)
            assert (made.size, made.shortest) == found


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "image_processor_type: expected one of ViTImageProcessor"),
        ({"image_processor_type": "SamImageProcessor"}, "got 'SamImageProcessor'"),
        ({"image_processor_type": 3}, "got 3"),
        ({**VIT, "size": 0}, "size: expected sides of 1 to 8192 pixels, got 0"),
        ({**VIT, "size": {"height": 9, "width": 10**9}}, "sides of 1 to 8192"),
        ({**VIT, "size": {"longest_edge": 9}}, "height and width, or shortest_edge"),
        ({**VIT, "size": True}, "sides of 1 to 8192 pixels, got True"),
        ({**VIT, "size": "big"}, "size: expected height and width, or"),
        ({**VIT, "resample": 6}, "resample: expected a filter from 0 to 5"),
        ({**VIT, "do_resize": 1}, "do_resize: expected true or false"),
        ({**VIT, "do_pad": True}, "do_pad: expected False"),
        ({**VIT, "image_std": [1, 1, 0]}, "image_std: expected 3 numbers other than 0"),
        ({**VIT, "image_mean": [1, 1]}, "image_mean: expected 3 numbers, got"),
        ({**VIT, "image_mean": ["a", 1, 1]}, "image_mean: expected a number, got 'a'"),
        ({**VIT, "rescale_factor": "x"}, "rescale_factor: expected a number"),
        ({**CLIP, "crop_size": {"height": 3}}, "crop_size: expected height and width"),
    ],
)
def test_what_cannot_be_done_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read_processor(HfConfig(values, "preprocessor_config.json"))
    assert said in str(caught.value)


def test_the_file_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json"):
        load_processor(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**VIT, "size": 8}))
    assert load_processor(tmp_path).size == (8, 8)


def test_values_by_hand() -> None:
    process = PictureProcessor(factor=0.5, mean=(1.0, 2.0, 3.0), std=(2.0, 4.0, 8.0))
    got = process(np.full((2, 3, 3), 10, np.uint8))
    assert (got.dtype, got.shape) == (np.float32, (3, 2, 3))
    np.testing.assert_array_equal(got[:, 0, 0], [2.0, 0.75, 0.25])


def test_steps_that_are_left_out_leave_the_pixels() -> None:
    flags = dict.fromkeys(("do_resize", "do_normalize", "do_rescale", "do_center_crop"), False)
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    got = read_processor(HfConfig({**CLIP, **flags}))(pixels)
    np.testing.assert_array_equal(got, pixels.transpose(2, 0, 1))


def test_a_shorter_side_keeps_the_proportion() -> None:
    process = PictureProcessor(shortest=10)
    assert process(np.zeros((20, 47, 3), np.uint8)).shape == (3, 10, 23)
    assert process(np.zeros((47, 20, 3), np.uint8)).shape == (3, 23, 10)


def test_a_small_picture_gets_black_margins() -> None:
    got = PictureProcessor(crop=(4, 5))(np.full((3, 2, 3), 9, np.uint8))
    np.testing.assert_array_equal(
        got[0], [[0, 0, 0, 0, 0], [0, 0, 9, 9, 0], [0, 0, 9, 9, 0], [0, 0, 9, 9, 0]]
    )


def test_resizing_averages_over_what_is_left_out() -> None:
    """Without antialiasing a picture of thin lines would become all black or all white."""
    lines = np.zeros((64, 64, 3), np.uint8)
    lines[::2] = 255
    got = PictureProcessor(size=(8, 8))(lines)
    assert np.abs(got - 127.5).max() < 30
