"""Pictures as vectors: a product of each patch, a learned vector before them, and positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.components.configured import Configured
from lmkernel.components.primitives import (
    apply_dropout,
    declare_linear,
    declare_norm,
    normalize,
)
from lmkernel.config import EmbeddingConfig, PatchConfig
from lmkernel.errors import ConfigError, InputError
from lmkernel.interfaces import Embedded, Embedding, Init, Param, ParamTree, project

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["PatchEmbedding", "bicubic"]

_NORMAL = Init("normal", 0.02)
_SHARPNESS = -0.75  # of the cubic kernel, as frameworks have it
_AXES = 4


@final
class PatchEmbedding(Configured[EmbeddingConfig], Embedding):
    """Pictures ``(batch, channels, height, width)`` to ``(batch, patches + token, width)``.

    A convolution whose stride is its size reads each patch once, which is a product with the
    patch's pixels in a row (arXiv:2010.11929, §3.1).
    """

    @property
    def _patches(self) -> PatchConfig:
        if self._config.patches is None:
            raise ConfigError("EmbeddingConfig.patches: expected a PatchConfig, got None")
        return self._config.patches

    def declare(self) -> ParamTree:
        c, p = self._config, self._patches
        tree = {
            "patches": declare_linear(
                c.width, p.values, ("embed", "pixels"), bias=p.bias, init=_NORMAL
            ),
            "positions": {"weight": Param((p.count, c.width), _NORMAL, ("patches", "embed"))},
        }
        if p.token:
            tree["token"] = {"weight": Param((1, c.width), _NORMAL, ("patches", "embed"))}
        if c.norm is not None:
            tree["norm"] = declare_norm(c.width, c.norm)
        return tree

    def __call__(
        self,
        params: dict[str, Any],
        inputs: Array,
        positions: Array,
        *,
        segments: Array | None = None,
        key: Array | None = None,
    ) -> Embedded:
        del positions, segments  # a picture has a grid of its own
        ops, c = self._ops, self._config
        grid = self._grid(inputs.shape)
        hidden = project(ops, self._unfold(inputs, grid), params["patches"])
        batch, count, width = hidden.shape
        if self._patches.token:
            first = ops.reshape(params["token"]["weight"], (1, 1, width))
            hidden = ops.concat([ops.broadcast_to(first, (batch, 1, width)), hidden], 1)
            count += 1
        hidden = hidden + self._table(params["positions"]["weight"], grid)
        if c.norm is not None:
            hidden = normalize(ops, hidden, params["norm"], c.norm)
        hidden = apply_dropout(ops, hidden, c.dropout, key, 0)
        row = ops.reshape(ops.arange(0, count, "int32"), (1, count))
        return Embedded(hidden, ops.broadcast_to(row, (batch, count)))

    def weight(self, params: dict[str, Any]) -> Array:
        del params
        raise TypeError("expected an embedding with a table of tokens, got one of pictures")

    def _grid(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Rows and columns of patches of pictures of a shape."""
        p = self._patches
        sizes = tuple(shape)[2:]
        small = len(shape) == _AXES and (sizes[0] < p.patch_height or sizes[1] < p.patch_width)
        fits = len(shape) == _AXES and shape[1] == p.channels and not small
        if not fits or not (p.resized or sizes == (p.height, p.width)):
            size = "height, width" if p.resized else f"{p.height}, {p.width}"
            raise InputError(
                f"expected pictures (batch, {p.channels}, {size}), got {tuple(shape)}"
                + (" smaller than a patch" if small else "")
            )
        return sizes[0] // p.patch_height, sizes[1] // p.patch_width

    def _unfold(self, x: Array, grid: tuple[int, int]) -> Array:
        """The pixels of each patch in a row, ``(batch, patches, values)``."""
        ops, p, (rows, columns), batch = self._ops, self._patches, grid, x.shape[0]
        x = x[:, :, : rows * p.patch_height, : columns * p.patch_width]
        x = ops.reshape(x, (batch, p.channels, rows, p.patch_height, columns, p.patch_width))
        x = ops.permute_dims(x, (0, 2, 4, 1, 3, 5))
        return ops.reshape(x, (batch, rows * columns, p.values))

    def _table(self, table: Array, grid: tuple[int, int]) -> Array:
        """The positions' vectors, interpolated where a picture has another grid."""
        p = self._patches
        if grid == p.grid:
            return table
        before = int(p.token)
        first, rest = table[:before], table[before:]
        return self._ops.concat([first, _interpolated(self._ops, rest, p.grid, grid)], 0)


def _interpolated(ops: Ops, table: Array, old: tuple[int, int], new: tuple[int, int]) -> Array:
    """A grid's vectors ``(rows · columns, width)``, for a grid of another size."""
    width, dtype = table.shape[1], ops.dtype(table)
    down, along = (ops.asarray(bicubic(n, m), dtype) for n, m in zip(old, new, strict=True))
    tall = ops.matmul(down, ops.reshape(table, (old[0], old[1] * width)))
    whole = ops.matmul(along, ops.reshape(tall, (new[0], old[1], width)))
    return ops.reshape(whole, (new[0] * new[1], width))


def bicubic(old: int, new: int) -> NDArray[np.float64]:
    """Weights ``(new, old)`` of cubic convolution (Keys 1981), without antialiasing.

    The centres of first and last elements lie half a step inside the edges; what would lie beyond
    an edge is the element at it.
    """
    at = (np.arange(new) + 0.5) * (old / new) - 0.5
    base = np.floor(at).astype(int)
    weights = np.zeros((new, old))
    for step in range(-1, 3):
        x, a = np.abs(at - base - step), _SHARPNESS
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = (((x - 5) * x + 8) * x - 4) * a
        columns = np.clip(base + step, 0, old - 1)
        np.add.at(weights, (np.arange(new), columns), np.where(x <= 1, near, far))
    return weights
