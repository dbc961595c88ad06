"""A picture as tiles that a model reads one by one, and once more as a whole.

The steps are those of transformers' processors of Idefics 3 and SmolVLM, on Pillow; the other kinds
make one tile of a picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.pictures.processor import (
    HALF,
    PictureProcessor,
    plain_processor,
    processor_kind,
    read_processor,
    read_side,
    resized,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmkernel.families.hf_config import HfConfig

    Size = tuple[int, int]

__all__ = ["Tiles", "read_tiles"]

_KINDS = ("Idefics3", "SmolVLM")
_USUAL: Mapping[str, Any] = MappingProxyType(
    {"resample": 1, "image_mean": HALF, "image_std": HALF, "size": 4 * 364, "max_image_size": 364}
)
"""What transformers' processors of tiles do where a file does not say."""
_LONGEST = 4096  # no picture is resized beyond it
_MOST = 1024  # tiles of one picture


@final
@dataclass(frozen=True)
class Tiles:
    """A picture as a model is shown it.

    Args:
        pixels: of the tiles, row by row, and last of the whole picture: float32
            ``(tiles, channels, height, width)``.
        rows, columns: how the tiles lie; 0 where the whole picture is alone.
    """

    pixels: NDArray[np.float32]
    rows: int = 0
    columns: int = 0


@final
@dataclass(frozen=True, kw_only=True)
class TileProcessor:
    """The steps from a picture to its tiles.

    Args:
        plain: what becomes of each tile; of the picture, where there are none.
        side: height and width of a tile; None where a picture is one.
        longest: what the longer side of a picture is resized to first, in proportion.
        split: whether a picture larger than a tile is cut into tiles.
    """

    plain: PictureProcessor
    side: int | None = None
    longest: int = _LONGEST
    split: bool = True

    def __call__(self, picture: NDArray[np.uint8]) -> Tiles:
        """``(height, width, 3)``, from `read_picture`, to its tiles."""
        if self.side is None:
            return Tiles(self.plain(picture)[None])
        wanted = _in_proportion(picture.shape[:2], self.longest)
        whole = resized(picture, wanted, self.plain.filter)
        if not self.split:
            return Tiles(self.plain(self._one_tile(whole))[None])
        filled = resized(whole, _filled(whole.shape[:2], self.side), self.plain.filter)
        rows, columns = (extent // self.side for extent in filled.shape[:2])
        if rows == columns == 1:
            return Tiles(self.plain(filled)[None])
        cut = [
            filled[top : top + self.side, left : left + self.side]
            for top in range(0, filled.shape[0], self.side)
            for left in range(0, filled.shape[1], self.side)
        ]
        each = [self.plain(tile) for tile in (*cut, self._one_tile(filled))]
        return Tiles(np.stack(each), rows, columns)

    def _one_tile(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        side = self.side or 0
        return resized(picture, (side, side), self.plain.filter)


def _in_proportion(size: tuple[int, ...], longest: int) -> Size:
    """Height and width with a longer side of so many pixels; the other is made even."""
    height, width = size
    if width >= height:
        other = int(longest / (width / height))
        return _bounded(max(other + other % 2, 1), longest)
    other = int(longest * (width / height))
    return _bounded(longest, max(other + other % 2, 1))


def _bounded(height: int, width: int) -> Size:
    """The same within the largest that there is."""
    ratio = width / height
    if width >= height and width > _LONGEST:
        return max(int(_LONGEST / ratio), 1), _LONGEST
    if height > width and height > _LONGEST:
        return _LONGEST, max(int(_LONGEST * ratio), 1)
    return height, width


def _filled(size: tuple[int, ...], side: int) -> Size:
    """Height and width that whole tiles fill; the shorter side follows from the longer one."""
    height, width = size
    ratio = width / height
    if width >= height:
        width = math.ceil(width / side) * side
        return math.ceil(int(width / ratio) / side) * side, width
    height = math.ceil(height / side) * side
    return height, math.ceil(int(height * ratio) / side) * side


def read_tiles(config: HfConfig, kind: str) -> TileProcessor:
    """The processor that a ``preprocessor_config.json`` describes.

    Args:
        config: its content.
        kind: what it is of where it does not say so.

    Raises:
        CheckpointError: of a kind that is not done here, or a value that makes no sense.
    """
    named = config.values.get("image_processor_type") or kind
    if not any(str(named).startswith(one) for one in _KINDS):
        return TileProcessor(plain=read_processor(config, kind))
    processor_kind(config, kind, _KINDS)
    config.refuse(do_resize=True)
    longest, side = _longest_edge(config, "size"), _longest_edge(config, "max_image_size")
    if min(longest, _LONGEST) > side * math.isqrt(_MOST):
        expected = f"tiles of which there are {_MOST} at most"
        raise config.error("max_image_size", expected, side)
    return TileProcessor(
        plain=plain_processor(config, _USUAL),
        side=side,
        longest=longest,
        split=config.flag("do_image_splitting", default=True),
    )


def _longest_edge(config: HfConfig, key: str) -> int:
    value = config.values[key] if config.has(key) else {"longest_edge": _USUAL[key]}
    if not isinstance(value, dict) or set(value) != {"longest_edge"}:
        raise config.error(key, "longest_edge", value)
    return read_side(config, key, value["longest_edge"])
