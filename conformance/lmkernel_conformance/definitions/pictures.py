"""Pictures: patches as vectors, positions for other grids, and what a decoder is shown."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle import model
from lmkernel_conformance.oracle.norm import dense
from lmkernel_conformance.oracle.tape import raw
from lmkernel_conformance.oracle.transformer import normalize, stack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["cubic", "embed_patches", "forward", "joined", "shown"]

Host = Any
_NEAR, _FAR = 1, 2
_SHARPNESS = -0.75


def embed_patches(
    ar: Arithmetic, pictures: Host, p: Mapping[str, Host], name: str, config: Any
) -> Host:
    """Vectors of patches, and of the token before them (arXiv:2010.11929, eq. 1).

    Args:
        ar: the arithmetic.
        pictures: ``(batch, channels, height, width)``.
        p: parameters by dotted name.
        name: the prefix of the embedding's parameters.
        config: the configuration of the embedding.
    """
    c, (batch, _, height, width) = config.patches, raw(pictures).shape
    tall, wide = c.patch_height, c.patch_width
    grid = height // tall, width // wide
    parts = [
        # red's rows, green's rows, blue's rows
        ar.reshape(
            pictures[:, :, row * tall : (row + 1) * tall, column * wide : (column + 1) * wide],
            (batch, 1, c.values),
        )
        for row in range(grid[0])
        for column in range(grid[1])
    ]
    x = dense(ar, ar.concat(parts, 1), p, f"{name}.patches")
    table = p[f"{name}.positions.weight"]
    before, rest = table[: int(c.token)], table[int(c.token) :]
    if grid != c.grid:
        rest = _other_grid(ar, rest, c.grid, grid)
    x = x + rest
    if c.token:
        first = ar.full((batch, 1, config.width), 0.0) + p[f"{name}.token.weight"] + before
        x = ar.concat([first, x], 1)
    return x if config.norm is None else normalize(ar, x, p, f"{name}.norm", config.norm)


def _other_grid(ar: Arithmetic, table: Host, old: tuple[int, int], new: tuple[int, int]) -> Host:
    """Positions of a grid for another, ``(new rows · columns, width)``: first down, then along."""
    width = raw(table).shape[1]
    down, along = (ar.constant(cubic(n, m)) for n, m in zip(old, new, strict=True))
    tall = ar.matmul(down, ar.reshape(table, (old[0], old[1] * width)))
    rows = [ar.reshape(tall[i], (old[1], width)) for i in range(new[0])]
    return ar.concat([ar.matmul(along, row) for row in rows], 0)


def cubic(old: int, new: int) -> Host:
    """Weights of cubic convolution, ``(new, old)`` (Keys 1981, eq. 4, with a = -3/4).

    Elements are intervals side by side, of which the middles are interpolated; beyond an edge
    stands the element at it.
    """
    weights = np.zeros((new, old))
    for i in range(new):
        middle = (i + 0.5) * old / new - 0.5
        for j in range(math.floor(middle) - 1, math.floor(middle) + 3):
            weights[i, min(max(j, 0), old - 1)] += _kernel(abs(middle - j))
    return weights


def _kernel(s: float) -> float:
    a = _SHARPNESS
    if s < _NEAR:
        return (a + 2) * s**3 - (a + 3) * s**2 + 1
    return a * s**3 - 5 * a * s**2 + 8 * a * s - 4 * a if s < _FAR else 0.0


def joined(ar: Arithmetic, x: Host, grid: tuple[int, int], side: int) -> Host:
    """Squares of patches as one vector each, the patches of a square row by row.

    ``(batch, rows · columns, width) -> (batch, rows · columns / side², width · side²)``.
    """
    squares = [
        ar.concat(
            [
                x[:, (top + down) * grid[1] + left + along][:, None]
                for down in range(side)
                for along in range(side)
            ],
            -1,
        )
        for top in range(0, grid[0], side)
        for left in range(0, grid[1], side)
    ]
    return ar.concat(squares, 1)


def shown(ar: Arithmetic, pictures: Host, p: Mapping[str, Host], config: Any) -> Host:
    """What a decoder sees of pictures ``(batch, channels, height, width)``, in their order.

    ``(batch, count, hidden size of the decoder)``: the tower's layers as far as they are asked for,
    the patches that are not left out, and a connector.
    """
    tower = config.pictures.embedding
    x = embed_patches(ar, pictures, p, "pictures.embedding", tower)
    places = np.broadcast_to(np.arange(raw(x).shape[1]), raw(x).shape[:2])
    whole = config.pictures.encoder
    if config.depth is not None:
        whole = replace(whole, layers=config.depth, final_norm=False)
    x = stack(ar, x, places, p, "pictures.encoder", whole)[:, config.skipped :]
    if config.joined > 1:
        x = joined(ar, x, tower.patches.grid, config.joined)
    return model.feed_forward(ar, x, p, "connector", config.connector)


def forward(
    ar: Arithmetic,
    config: Any,
    p: Mapping[str, Host],
    tokens: Host,
    positions: Host,
    pictures: Host,
) -> Host:
    """The output of every position of a decoder that is shown pictures in the places of a token.

    Args:
        ar: the arithmetic.
        config: the configuration of the model.
        p: parameters by dotted name.
        tokens: ``(batch, time)``.
        positions: the same; -1 is padding.
        pictures: of all rows one after the other, ``(pictures, channels, height, width)``.
    """
    vectors = shown(ar, pictures, p, config.sight)
    flat = ar.reshape(vectors, (-1, raw(vectors).shape[-1]))
    there = np.asarray((tokens == config.sight.token) & (positions >= 0))
    number = np.maximum(np.cumsum(there.reshape(-1)).reshape(there.shape) - 1, 0)
    x = model.embed(ar, tokens, positions, p, "embedding", config.embedding)
    x = ar.where(there[..., None], ar.take(flat, number), x)
    fed = replace(config, sight=None, embedding=replace(config.embedding, kind="vectors"))
    return model.forward(ar, fed, p, x, positions=positions)
