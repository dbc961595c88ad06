"""What becomes of a picture before a model is fed: resized, cropped, rescaled, normalised.

The settings are a ``preprocessor_config.json``, the steps those of transformers' image processors,
with Pillow's filters, which average over what is left out (antialiasing).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.directory import PREPROCESSOR
from lmkernel.checkpoints.json_files import read_object
from lmkernel.errors import CheckpointError
from lmkernel.families.hf_config import HfConfig
from lmkernel.pictures.reading import pillow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Size = tuple[int, int]

__all__ = ["PictureProcessor", "load_processor", "read_processor"]

_LARGEST = 8192  # no model has more pixels a side
_FILTERS = 6  # Pillow's: nearest, Lanczos, bilinear, bicubic, box, Hamming
_HALF = (0.5, 0.5, 0.5)
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_CHANNELS = 3
_CROPPED: Mapping[str, Any] = MappingProxyType(
    {
        "size": MappingProxyType({"shortest_edge": 224}),
        "crop_size": MappingProxyType({"height": 224, "width": 224}),
        "do_center_crop": True,
        "resample": 3,
        "image_mean": _CLIP_MEAN,
        "image_std": _CLIP_STD,
        "square": False,
    }
)
_SQUARE: Mapping[str, Any] = MappingProxyType(
    {
        "size": MappingProxyType({"height": 224, "width": 224}),
        "crop_size": None,
        "do_center_crop": False,
        "resample": 2,
        "image_mean": _HALF,
        "image_std": _HALF,
        "square": True,
    }
)
_KINDS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "ViT": _SQUARE,
        "CLIP": _CROPPED,
        "Bit": _CROPPED,
        "Siglip": MappingProxyType({**_SQUARE, "resample": 3, "square": False}),
    }
)
"""What transformers' image processors do where a file does not say, by their names' beginnings."""
_ENDINGS = ("ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor")


@final
@dataclass(frozen=True, kw_only=True)
class PictureProcessor:
    """The steps from a picture to a model's input; each that is None is left out.

    Args:
        size: height and width that a picture is resized to.
        shortest: what its shorter side is resized to instead, in proportion.
        filter: number of Pillow's filter: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4 box,
            5 Hamming.
        crop: height and width that are cut out of the middle; a smaller picture gets black margins.
        factor: what values are multiplied by.
        mean, std: what is then subtracted from red, green and blue, and what they are divided by.
    """

    size: Size | None = None
    shortest: int | None = None
    filter: int = 2
    crop: Size | None = None
    factor: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(height, width, 3)``, from `read_picture`, to ``(3, height, width)``."""
        pixels = self._resize(picture)
        whole = _cut(pixels, self.crop) if self.crop else pixels
        made: NDArray[Any] = np.moveaxis(whole, -1, 0)
        if self.factor is not None:
            # the product is rounded once, from float64, as transformers does
            made = made.astype(np.float64) * self.factor
        made = made.astype(np.float32)
        if self.mean is not None and self.std is not None:
            mean, std = (np.array(x, np.float32)[:, None, None] for x in (self.mean, self.std))
            made = (made - mean) / std
        return np.ascontiguousarray(made)

    def _resize(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = picture.shape[:2]
        wanted = self.size
        if self.shortest is not None:
            longest = int(self.shortest * max(height, width) / min(height, width))
            wanted = (longest, self.shortest) if width <= height else (self.shortest, longest)
        if wanted is None or wanted == (height, width):
            return picture
        image = pillow().fromarray(picture)
        return np.asarray(image.resize(wanted[::-1], resample=self.filter), np.uint8)


def _cut(picture: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """The middle of a picture; an odd remainder goes where transformers has it."""
    for axis, wanted in enumerate(size):
        there = picture.shape[axis]
        if there < wanted:
            before = math.ceil((wanted - there) / 2)
            margins = [(0, 0)] * picture.ndim
            margins[axis] = before, wanted - there - before
            picture = np.pad(picture, margins)
        begin = (picture.shape[axis] - wanted) // 2
        picture = np.take(picture, range(begin, begin + wanted), axis)
    return picture


def load_processor(folder: Path) -> PictureProcessor:
    """The processor of a model's folder.

    Raises:
        CheckpointError: it has no ``preprocessor_config.json``, or one that cannot be used.
    """
    path = folder / PREPROCESSOR
    return read_processor(HfConfig(read_object(path, required=True), str(path)))


def read_processor(config: HfConfig, kind: str = "") -> PictureProcessor:
    """The processor that a ``preprocessor_config.json`` describes.

    Args:
        config: its content.
        kind: what it is of where it does not say so, as older files: ``"ViT"``, ``"CLIP"``,
            ``"Bit"`` or ``"Siglip"``.

    Raises:
        CheckpointError: of a kind that is not done here, or a value that makes no sense.
    """
    usual = _usual(config, kind)
    config.refuse(do_pad=False, do_flip_channel_order=False)
    size, shortest = (
        _size(config, usual) if config.flag("do_resize", default=True) else (None, None)
    )
    normal = config.flag("do_normalize", default=True)
    rescaled = config.flag("do_rescale", default=True)
    return PictureProcessor(
        size=size,
        shortest=shortest,
        filter=_filter(config, usual),
        crop=_crop(config, usual),
        factor=config.number("rescale_factor", 1 / 255) if rescaled else None,
        mean=_numbers(config, "image_mean", usual) if normal else None,
        std=_numbers(config, "image_std", usual, zero=False) if normal else None,
    )


def _usual(config: HfConfig, kind: str) -> Mapping[str, Any]:
    key = "image_processor_type"
    named = config.values.get(key) or config.values.get("feature_extractor_type")
    if named is None and kind in _KINDS:
        return _KINDS[kind]
    for ending in _ENDINGS:
        if isinstance(named, str) and named.removesuffix(ending) in _KINDS:
            return _KINDS[named.removesuffix(ending)]
    raise config.error(key, "one of " + ", ".join(f"{k}ImageProcessor" for k in _KINDS), named)


def _size(config: HfConfig, usual: Mapping[str, Any]) -> tuple[Size | None, int | None]:
    value = config.values["size"] if config.has("size") else usual["size"]
    if isinstance(value, int):
        value = {"height": value, "width": value} if usual["square"] else {"shortest_edge": value}
    if isinstance(value, list | tuple) and len(value) == 2:  # noqa: PLR2004 - height and width
        value = {"height": value[0], "width": value[1]}
    keys = set(value) if hasattr(value, "keys") else set()
    if keys == {"shortest_edge"}:
        return None, _side(config, "size", value["shortest_edge"])
    if keys == {"height", "width"}:
        return (_side(config, "size", value["height"]), _side(config, "size", value["width"])), None
    raise config.error("size", "height and width, or shortest_edge", value)


def _crop(config: HfConfig, usual: Mapping[str, Any]) -> Size | None:
    key = "crop_size"
    if not config.flag("do_center_crop", default=usual["do_center_crop"]):
        return None
    value = config.values[key] if config.has(key) else usual[key]
    if not hasattr(value, "keys"):
        value = {"height": value, "width": value}
    if set(value) != {"height", "width"}:
        raise config.error(key, "height and width", value)
    return _side(config, key, value["height"]), _side(config, key, value["width"])


def _side(config: HfConfig, key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST:
        raise config.error(key, f"sides of 1 to {_LARGEST} pixels", value)
    return value


def _filter(config: HfConfig, usual: Mapping[str, Any]) -> int:
    number = config.whole("resample", usual["resample"], least=0)
    if number >= _FILTERS:
        raise config.error("resample", f"a filter from 0 to {_FILTERS - 1}", number)
    return number


def _numbers(
    config: HfConfig, key: str, usual: Mapping[str, Any], *, zero: bool = True
) -> tuple[float, ...]:
    value = config.values[key] if config.has(key) else usual[key]
    listed = list(value) if isinstance(value, list | tuple) else [value] * _CHANNELS
    # each is read by what reads a number, with its name in complaints
    found = tuple(HfConfig({key: one}, config.where).number(key) for one in listed)
    if len(found) != _CHANNELS or (not zero and 0 in found):
        raise CheckpointError(
            f"{config.where}: {key}: expected {_CHANNELS} numbers"
            f"{'' if zero else ' other than 0'}, got {value!r:.120}"
        )
    return found
