"""The formats of models that read pictures, and pictures themselves."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
from picture_models import LABELS, picture_model
from PIL import Image

from fuzzing.formats import Format
from fuzzing.models import load
from lmkernel.pictures.reading import read_picture

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FORMATS"]

PIXELS = np.random.default_rng(7).integers(0, 256, (18, 22, 3), dtype=np.uint8)
KINDS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "gif": "GIF", "bmp": "BMP", "tif": "TIFF"}


def use_processor(folder: Path) -> object:
    """Loaded, and asked for a class by words."""
    return load(folder).classify_pictures(PIXELS, LABELS)


def write_pictures(folder: Path) -> None:
    for ending, kind in KINDS.items():
        Image.fromarray(PIXELS).save(folder / f"picture.{ending}", kind)


def use_pictures(folder: Path) -> object:
    return [read_picture(folder / f"picture.{ending}").shape for ending in KINDS]


FORMATS = (
    Format(
        "preprocessor",
        functools.partial(picture_model, kind="clip"),
        ("preprocessor_config.json",),
        use_processor,
    ),
    Format(
        "pictures", write_pictures, tuple(f"picture.{ending}" for ending in KINDS), use_pictures
    ),
)
