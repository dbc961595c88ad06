"""What a model of pictures is fed, beside transformers' image processors: the same bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import transformers
from PIL import Image, ImageOps

from lmkernel.checkpoints.json_files import read_object
from lmkernel.families.hf_config import HfConfig
from lmkernel.pictures.processor import load_processor
from lmkernel.pictures.reading import read_picture
from lmkernel.pictures.tiles import read_tiles

if TYPE_CHECKING:
    from pathlib import Path

BOUND = 0.0
"""The largest difference: both resize by Pillow, and round alike."""
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("ViTImageProcessorPil", {}),
    "vit small": ("ViTImageProcessorPil", {"size": {"height": 30, "width": 20}, "resample": 3}),
    "vit raw": ("ViTImageProcessorPil", {"do_rescale": False, "do_normalize": False}),
    "clip": ("CLIPImageProcessorPil", {}),
    "clip wide": ("CLIPImageProcessorPil", {"crop_size": {"height": 61, "width": 400}}),
    "clip uncut": ("CLIPImageProcessorPil", {"do_center_crop": False, "resample": 1}),
    "siglip": ("SiglipImageProcessorPil", {"size": {"height": 56, "width": 56}}),
    "dinov2": (
        "BitImageProcessorPil",
        {"size": {"shortest_edge": 256}, "image_mean": [0.485, 0.456, 0.406]},
    ),
    "siglip square": ("SiglipImageProcessorPil", {"size": 40, "default_to_square": True}),
    "llava": ("LlavaImageProcessorPil", {"do_pad": True}),
}
TILED: dict[str, tuple[str, dict[str, Any]]] = {
    "smolvlm": (
        "SmolVLMImageProcessorPil",
        {"size": {"longest_edge": 256}, "max_image_size": {"longest_edge": 64}},
    ),
    "idefics3": (
        "Idefics3ImageProcessorPil",
        {"size": {"longest_edge": 120}, "max_image_size": {"longest_edge": 52}},
    ),
    "idefics3 whole": (
        "Idefics3ImageProcessorPil",
        {
            "size": {"longest_edge": 120},
            "max_image_size": {"longest_edge": 52},
            "do_image_splitting": False,
            "resample": 3,
            "image_mean": [0.4, 0.5, 0.6],
        },
    ),
    "large": (
        "Idefics3ImageProcessorPil",
        {"size": {"longest_edge": 5000}, "max_image_size": {"longest_edge": 1400}},
    ),
}
SIZES = [(31, 47), (480, 640), (300, 100), (64, 64), (2, 5)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_as_transformers_makes_them(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    kind, options = KINDS[name]
    theirs = getattr(transformers, kind)(**options)
    theirs.save_pretrained(tmp_path)
    noise = np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = theirs(Image.fromarray(noise))["pixel_values"][0]
    got = load_processor(tmp_path)(noise)
    assert np.abs(got - expected).max() <= BOUND


TILE_SIZES = [*SIZES, (40, 4000), (501, 77)]
SEVERAL = [(name, size) for name in TILED for size in TILE_SIZES if name != "large"]


@pytest.mark.parametrize(("name", "size"), [*SEVERAL, ("large", SIZES[2])], ids=str)
def test_tiles_as_transformers_makes_them(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    kind, options = TILED[name]
    theirs = getattr(transformers, kind)(**options)
    theirs.save_pretrained(tmp_path)
    noise = np.random.default_rng(5).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = theirs(Image.fromarray(noise), return_row_col_info=True)
    said = read_object(tmp_path / "preprocessor_config.json", required=True)
    got = read_tiles(HfConfig(said), "")(noise)
    assert (got.rows, got.columns) == (expected["rows"][0][0], expected["cols"][0][0])
    assert got.pixels.shape == expected["pixel_values"][0].shape
    assert np.abs(got.pixels - expected["pixel_values"][0]).max() <= BOUND
    assert np.all(expected["pixel_attention_mask"])  # so nothing is padded


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "CMYK", "1"])
def test_files_are_read_as_transformers_reads_them(mode: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.fromarray(noise).convert(mode).save(path, exif=exif)
    expected = transformers.image_utils.load_image(str(path))
    upright = ImageOps.exif_transpose(Image.open(path)).size
    assert expected.size == upright
    np.testing.assert_array_equal(read_picture(path), np.asarray(expected))
