"""What becomes of a picture before a model is fed: resized, cropped, rescaled, normalised.

The settings are a ``preprocessor_config.json``, the steps those of transformers' image processors,
with Pillow's filters, which average over what is left out (antialiasing).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.directory import PREPROCESSOR
from lmkernel.checkpoints.json_files import read_object
from lmkernel.errors import CheckpointError
from lmkernel.families.hf_config import HfConfig
from lmkernel.pictures.reading import pillow

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Size = tuple[int, int]

__all__ = [
    "HALF",
    "PictureProcessor",
    "load_processor",
    "plain_processor",
    "processor_kind",
    "read_processor",
    "read_side",
    "resized",
]

_LARGEST = 8192  # no model has more pixels a side
_FILTERS = 6  # Pillow's: nearest, Lanczos, bilinear, bicubic, box, Hamming
HALF = (0.5, 0.5, 0.5)
"""A mean, or a deviation, of values from 0 to 1."""
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
        "image_mean": HALF,
        "image_std": HALF,
        "square": True,
    }
)
_KINDS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "ViT": _SQUARE,
        "CLIP": _CROPPED,
        "Llava": _CROPPED,
        "Bit": _CROPPED,
        "Siglip": MappingProxyType({**_SQUARE, "resample": 3, "square": False}),
    }
)
"""What transformers' image processors do where a file does not say, by their names' beginnings."""
_SQUARED = "Llava"
"""The kind that may put margins around a picture."""
_ENDINGS = ("ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor")


@final
@dataclass(frozen=True, kw_only=True)
class PictureProcessor:
    """The steps from a picture to a model's input; each that is None is left out.

    Args:
        margins: the colour of margins that make a picture square, before anything else.
        size: height and width that a picture is resized to.
        shortest: what its shorter side is resized to instead, in proportion.
        filter: number of Pillow's filter: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic, 4 box,
            5 Hamming.
        crop: height and width that are cut out of the middle; a smaller picture gets black margins.
        factor: what values are multiplied by.
        mean, std: what is then subtracted from red, green and blue, and what they are divided by.
    """

    margins: tuple[int, ...] | None = None
    size: Size | None = None
    shortest: int | None = None
    filter: int = 2
    crop: Size | None = None
    factor: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``(height, width, 3)``, from `read_picture`, to ``(3, height, width)``."""
        pixels = self._resize(picture if self.margins is None else _square(picture, self.margins))
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
        return picture if wanted is None else resized(picture, wanted, self.filter)


def resized(picture: NDArray[np.uint8], size: Size, filter_: int) -> NDArray[np.uint8]:
    """A picture of another height and width, by one of Pillow's filters."""
    if size == picture.shape[:2]:
        return picture
    image = pillow().fromarray(picture)
    return np.asarray(image.resize(size[::-1], resample=filter_), np.uint8)


def _square(picture: NDArray[np.uint8], colour: tuple[int, ...]) -> NDArray[np.uint8]:
    """A picture in the middle of a square of a colour."""
    height, width = picture.shape[:2]
    side = max(height, width)
    whole = np.full((side, side, len(colour)), colour, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    whole[top : top + height, left : left + width] = picture
    return whole


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
    usual = _KINDS[processor_kind(config, kind, _KINDS)]
    padded = config.flag("do_pad", default=False)
    if padded and processor_kind(config, kind, _KINDS) != _SQUARED:
        config.refuse(do_pad=False)
    size, shortest = (
        _size(config, usual) if config.flag("do_resize", default=True) else (None, None)
    )
    made = plain_processor(config, usual)
    # their colour is the mean, where there is one, whether it is subtracted or not
    colour = tuple(int(255 * x) for x in _numbers(config, "image_mean", usual))
    return replace(
        made,
        margins=colour if padded else None,
        size=size,
        shortest=shortest,
        crop=_crop(config, usual),
    )


def plain_processor(config: HfConfig, usual: Mapping[str, Any]) -> PictureProcessor:
    """The steps that every kind has: how values are rescaled and normalised, and the filter.

    Args:
        config: the content of a file.
        usual: what holds where it does not say.

    Raises:
        CheckpointError: a value that makes no sense.
    """
    config.refuse(do_flip_channel_order=False)
    normal = config.flag("do_normalize", default=True)
    rescaled = config.flag("do_rescale", default=True)
    return PictureProcessor(
        filter=_filter(config, usual),
        factor=config.number("rescale_factor", 1 / 255) if rescaled else None,
        mean=_numbers(config, "image_mean", usual) if normal else None,
        std=_numbers(config, "image_std", usual, zero=False) if normal else None,
    )


def processor_kind(config: HfConfig, kind: str, kinds: Collection[str]) -> str:
    """Which kind a file is of, by the name of transformers' class.

    Args:
        config: its content.
        kind: what it is of where it does not say so.
        kinds: those that there are.

    Raises:
        CheckpointError: another kind.
    """
    key = "image_processor_type"
    named = config.values.get(key) or config.values.get("feature_extractor_type")
    if named is None and kind in kinds:
        return kind
    for ending in _ENDINGS:
        if isinstance(named, str) and named.removesuffix(ending) in kinds:
            return named.removesuffix(ending)
    raise config.error(key, "one of " + ", ".join(f"{k}ImageProcessor" for k in kinds), named)


def _size(config: HfConfig, usual: Mapping[str, Any]) -> tuple[Size | None, int | None]:
    value = config.values["size"] if config.has("size") else usual["size"]
    if isinstance(value, int):
        square = config.flag("default_to_square", default=usual["square"])
        value = {"height": value, "width": value} if square else {"shortest_edge": value}
    if isinstance(value, list | tuple) and len(value) == 2:  # noqa: PLR2004 - height and width
        value = {"height": value[0], "width": value[1]}
    keys = set(value) if hasattr(value, "keys") else set()
    if keys == {"shortest_edge"}:
        return None, read_side(config, "size", value["shortest_edge"])
    if keys == {"height", "width"}:
        return (
            read_side(config, "size", value["height"]),
            read_side(config, "size", value["width"]),
        ), None
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
    return _both_sides(config, key, value)


def _both_sides(config: HfConfig, key: str, value: Mapping[str, object]) -> Size:
    return read_side(config, key, value["height"]), read_side(config, key, value["width"])


def read_side(config: HfConfig, key: str, value: object) -> int:
    """The pixels of a side, which a key says; `CheckpointError` for anything else."""
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
