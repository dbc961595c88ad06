"""When each token was spoken: where cross-attention looks while it is written.

The weights of some heads, normalised over tokens and smoothed over time, are a matrix of tokens and
steps, and dynamic time warping finds the path through it. The times are those of transformers'
``return_token_timestamps``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.components.attention import split_heads
from lmkernel.components.layer import TransformerLayer
from lmkernel.components.primitives import normalize
from lmkernel.components.transformer import memory_view, whole_view
from lmkernel.config import TransformerConfig
from lmkernel.errors import CheckpointError, InputError
from lmkernel.factory import ComponentFactory
from lmkernel.inspection.run import split_layers
from lmkernel.interfaces import project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.interfaces import Memory
    from lmkernel.language_model import LanguageModel

__all__ = ["alignment_heads", "token_steps", "warped"]

_FILTER = 7
"""How many steps a weight is the median of, unless the model says otherwise."""


def alignment_heads(model: LanguageModel) -> list[tuple[int, int]]:
    """The heads, each by its layer and number, whose weights follow what is spoken.

    Those of ``generation_config.json``, else all of the second half of the layers.

    Raises:
        CheckpointError: heads that the decoder has not.
    """
    stack = model.config.decoder
    if not isinstance(stack, TransformerConfig) or stack.cross is None:
        raise InputError("expected a decoder with cross-attention")
    layers, heads = stack.layers, stack.cross.heads
    given = model.origin.generation_config.get("alignment_heads")
    if not given:
        return [(i, head) for i in range(layers // 2, layers) for head in range(heads)]
    try:
        found = [(int(layer), int(head)) for layer, head in given]
    except (TypeError, ValueError):
        found = [(-1, -1)]
    if not all(0 <= layer < layers and 0 <= head < heads for layer, head in found):
        raise CheckpointError(
            f"{model.origin.where}: alignment_heads: expected layers in 0 … {layers - 1} and heads "
            f"in 0 … {heads - 1}, got {given!r:.80}"
        )
    return found


def token_steps(
    model: LanguageModel,
    memory: Memory,
    prompt: Sequence[int],
    tokens: Sequence[int],
    *,
    steps: int,
) -> list[float]:
    """The step of time at which each token begins to be spoken.

    Args:
        model: which wrote the tokens.
        memory: the window, encoded, of one row.
        prompt: what the tokens follow.
        tokens: one at least.
        steps: how many of the memory's vectors are of the sound.

    Raises:
        CheckpointError: heads that the decoder has not, or a filter that makes no sense.
    """
    width = model.origin.described.values.get("median_filter_width", _FILTER)
    if type(width) is not int or width < 1 or width % 2 == 0:
        where = model.origin.described.where
        raise CheckpointError(
            f"{where}: median_filter_width: expected an odd number, got {width!r:.40}"
        )
    weights = _weights(model, memory, [*prompt, *tokens])[:, len(prompt) :, :steps]
    spread = weights.std(axis=1, keepdims=True)
    normal = (weights - weights.mean(axis=1, keepdims=True)) / np.maximum(spread, 1e-30)
    half = width // 2
    if steps > half:
        padded = np.pad(normal, ((0, 0), (0, 0), (half, half)), mode="reflect")
        views = np.lib.stride_tricks.sliding_window_view(padded, width, axis=-1)
        normal = np.median(views, axis=-1)
    rows, columns = warped(-normal.mean(axis=0))
    begins = np.flatnonzero(np.diff(rows, prepend=-1))
    return [float(step) for step in columns[begins]]


def _weights(model: LanguageModel, memory: Memory, ids: Sequence[int]) -> NDArray[np.float64]:
    """The weights of the heads that align, ``(heads, tokens, steps)``."""
    backend, stack = model.backend, model.config.decoder
    if not isinstance(stack, TransformerConfig):
        raise InputError("expected a decoder of transformer layers")
    wanted = alignment_heads(model)
    ops, factory, params = backend.ops, ComponentFactory(backend), model.params["decoder"]["layers"]
    found: dict[int, NDArray[np.float64]] = {}
    with backend.scope(), backend.inference():
        now = model.model.embed_target(model.params, ops.asarray([list(ids)], "int32"))
        across = memory_view(ops, now.positions, memory.positions)
        layers = zip(split_layers(stack), params, strict=True)
        for number, (config, own) in enumerate(layers):
            if not isinstance(config, TransformerConfig) or config.cross is None:
                raise InputError("expected layers with cross-attention")
            layer = TransformerLayer(factory, config, 0)
            kept = layer.remember(own, memory.hidden)
            if any(number == chosen for chosen, _ in wanted):
                x, _ = layer.attend(own, now.hidden, whole_view(ops, config, now))
                y = normalize(ops, x, own["cross_norm"], config.norm)
                queries = split_heads(ops, project(ops, y, own["cross"]["q"]), config.cross.heads)
                host = ops.to_numpy(queries)[0], ops.to_numpy(kept["keys"])[0]
                found[number] = _shares(*host, config.cross.scale)
            view = whole_view(ops, config, now)
            hidden, _ = layer(own, now.hidden, view, memory=kept, across=across)
            now = type(now)(hidden, now.positions)
    return np.stack([found[number][head] for number, head in wanted])


def _shares(queries: Any, keys: Any, scale: float) -> NDArray[np.float64]:
    """Softmax of the scores, ``(heads, tokens, steps)``."""
    scores = scale * queries.astype(np.float64) @ keys.astype(np.float64).swapaxes(1, 2)
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = raised / raised.sum(axis=-1, keepdims=True)
    return shares


def warped(costs: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The cheapest path from the first row and column of costs to the last, each step of it.

    It goes on by a row, by a column or by both; where ways are as cheap, by a column.
    """
    rows, columns = costs.shape
    table = costs.tolist()
    endless = float("inf")
    # a column at a time, as each is made of the one before
    before = [0.0, *[endless] * rows]
    ways: list[list[int]] = []
    for j in range(columns):
        now, chosen = [endless], []
        for i in range(rows):
            both, down, right = before[i], now[i], before[i + 1]
            if both < down and both < right:
                least, way = both, 0
            elif down < both and down < right:
                least, way = down, 1
            else:
                least, way = right, 2
            now.append(table[i][j] + least)
            chosen.append(way)
        before = now
        ways.append(chosen)
    path = []
    i, j = rows, columns
    while i > 0 or j > 0:
        path.append((i - 1, j - 1))
        way = 2 if not i else 1 if not j else ways[j - 1][i - 1]
        i, j = i - (way != 2), j - (way != 1)  # noqa: PLR2004 - which of the three ways
    found = np.array(path[::-1], dtype=np.intp)
    return found[:, 0], found[:, 1]
