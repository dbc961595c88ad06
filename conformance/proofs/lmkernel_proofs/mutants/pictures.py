"""What ports get wrong of pictures: order of pixels, positions, places, and preparation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.components.patches import PatchEmbedding
from lmkernel.config import SightConfig
from lmkernel.model import sight
from lmkernel.pictures import processor
from lmkernel_proofs.mutants.mutant import Mutant, Patch

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.config import TransformerConfig

__all__ = ["MUTANTS"]

_unfold, _table = PatchEmbedding._unfold, PatchEmbedding._table  # noqa: SLF001 - what is broken
_process, _places = processor.PictureProcessor.__call__, sight.Shown.places
_connect = sight.Sight.connect
_encoder: Callable[[SightConfig], TransformerConfig] = SightConfig.encoder.fget  # type: ignore[attr-defined]  # a property


def _colours_together(own: Any, x: Any, grid: tuple[int, int]) -> Any:
    """The three colours of a pixel lie beside each other in a patch's row."""
    values, p = _unfold(own, x, grid), own._patches  # noqa: SLF001 - a method's
    batch, count, size = values.shape
    apart = own._ops.reshape(values, (batch, count, p.channels, size // p.channels))  # noqa: SLF001 - the same
    together = own._ops.permute_dims(apart, (0, 1, 3, 2))  # noqa: SLF001 - the same
    return own._ops.reshape(together, (batch, count, size))  # noqa: SLF001 - the same


def _by_columns(own: Any, x: Any, grid: tuple[int, int]) -> Any:
    """Patches are taken column by column."""
    order = np.arange(grid[0] * grid[1]).reshape(grid).T.reshape(-1)
    return own._ops.take(_unfold(own, x, grid), own._ops.asarray(order, "int32"), 1)  # noqa: SLF001 - a method's


def _corners_kept(old: int, new: int) -> Any:
    """Positions are interpolated between the first and the last, on straight lines."""
    at = np.linspace(0, old - 1, new)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(old)))


def _first_rows(own: Any, table: Any, grid: tuple[int, int]) -> Any:
    """Another grid has the first positions of the table, as far as it has some."""
    count = grid[0] * grid[1] + own._patches.token  # noqa: SLF001 - a method's
    if count > table.shape[0]:
        return _table(own, table, grid)
    return table[:count]


def _squares_by_columns(ops: Any, x: Any, grid: tuple[int, int], side: int) -> Any:
    """The patches of a square lie column by column in their vector."""
    batch, _, width = x.shape
    rows, columns = (count // side for count in grid)
    x = ops.reshape(x, (batch, rows, side, columns, side, width))
    x = ops.permute_dims(x, (0, 1, 3, 4, 2, 5))
    return ops.reshape(x, (batch, rows * columns, side * side * width))


def _stripes(ops: Any, x: Any, grid: tuple[int, int], side: int) -> Any:
    """Patches beside each other in a row become one vector, not those of a square."""
    del grid
    batch, count, width = x.shape
    return ops.reshape(x, (batch, count // side**2, side**2 * width))


def _one_late(own: Any, tokens: Any, positions: Any) -> Any:
    """Vectors stand a place further on than theirs."""
    return np.roll(_places(own, tokens, positions), 1, 1)


def _of_first_row(own: Any, tokens: Any, positions: Any) -> Any:
    """Every row is shown the pictures of the first one."""
    places = _places(own, tokens, positions)
    return np.where(places < 0, -1, places % own.vectors.shape[1]).astype(np.int32)


def _all_layers(config: SightConfig) -> TransformerConfig:
    """Vectors of an earlier layer are normalised like those of the last one."""
    return replace(_encoder(config), final_norm=True)


def _last_left_out(own: Any, params: Any, embedded: Any) -> Any:
    """The last vectors of a picture are left out in place of the first."""
    kept = embedded.hidden.shape[1] - own.config.skipped
    padded = own._ops.concat([embedded.hidden[:, kept:], embedded.hidden[:, :kept]], 1)  # noqa: SLF001 - a method's
    return _connect(own, params, replace(embedded, hidden=padded))


def _blue_first(own: Any, picture: Any) -> Any:
    """Blue, green, red."""
    return _process(own, picture[..., ::-1])


def _normalised_alike(own: Any, picture: Any) -> Any:
    """All colours are normalised by red's mean and deviation."""
    if own.mean is None:
        return _process(own, picture)
    alike = replace(own, mean=(own.mean[0],) * 3, std=(own.std[0],) * 3)
    return _process(alike, picture)


def _not_rescaled(own: Any, picture: Any) -> Any:
    """Values from 0 to 255 are normalised as they are."""
    return _process(replace(own, factor=None), picture)


def _cut_at_the_corner(picture: Any, size: tuple[int, int]) -> Any:
    """The upper left corner is cut out, margins stand at the right and below."""
    missing = [max(want - there, 0) for want, there in zip(size, picture.shape, strict=False)]
    whole = np.pad(picture, [(0, missing[0]), (0, missing[1]), (0, 0)])
    return whole[: size[0], : size[1]]


def _mutant(row: int, name: str, level: str, where: str, broken: Any, seen: str = "") -> Mutant:
    patch = Patch(f"lmkernel.{where}", broken)
    return Mutant(id=name, level=level, patch=patch, row=row, seen=seen)


_EMBEDDING = "components.patches.PatchEmbedding"
_SIGHT, _PROCESSOR = "model.sight", "pictures.processor.PictureProcessor.__call__"
MUTANTS = (
    _mutant(
        31, "patches.colours_together", "components", f"{_EMBEDDING}._unfold", _colours_together
    ),
    _mutant(31, "patches.by_columns", "components", f"{_EMBEDDING}._unfold", _by_columns),
    _mutant(
        32,
        "patches.corners_kept",
        "components",
        "components.patches.bicubic",
        _corners_kept,
        "llama.cpp#17577",
    ),
    _mutant(32, "patches.first_positions", "components", f"{_EMBEDDING}._table", _first_rows),
    _mutant(
        33, "pictures.squares_by_columns", "models", f"{_SIGHT}.joined_patches", _squares_by_columns
    ),
    _mutant(33, "pictures.stripes", "models", f"{_SIGHT}.joined_patches", _stripes),
    _mutant(
        33, "pictures.one_late", "models", f"{_SIGHT}.Shown.places", _one_late, "transformers#34447"
    ),
    _mutant(33, "pictures.of_the_first_row", "models", f"{_SIGHT}.Shown.places", _of_first_row),
    Mutant(
        id="pictures.normalised",
        level="models",
        patch=Patch("lmkernel.config.sight.SightConfig.encoder", property(_all_layers)),
        row=33,
    ),
    _mutant(
        33,
        "pictures.last_left_out",
        "models",
        f"{_SIGHT}.Sight.connect",
        _last_left_out,
        "transformers#34447",
    ),
    _mutant(34, "processor.blue_first", "components", _PROCESSOR, _blue_first, "mlx-vlm#2266"),
    _mutant(34, "processor.normalised_alike", "components", _PROCESSOR, _normalised_alike),
    _mutant(34, "processor.not_rescaled", "components", _PROCESSOR, _not_rescaled, "timm#2543"),
    _mutant(
        34,
        "processor.cut_at_the_corner",
        "components",
        "pictures.processor._cut",
        _cut_at_the_corner,
    ),
)
