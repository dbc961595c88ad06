"""An exported file, run by ONNX Runtime beside the model that it was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from lmkernel.errors import InputError
from lmkernel_onnx.running import new_options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Tree
    from lmkernel.model import Model

__all__ = ["largest_difference"]

_ALLOWED = 1e-3
"""The share of the largest logit that is taken for rounding; a graph that computes something else
differs by about the logits themselves."""
_STEPS = (4, 1, 2)
"""Tokens a call, of a batch whose second row begins with padding; each call another shape."""


def largest_difference(model: Model, params: Tree, path: Path) -> float:
    """The largest difference of logits, as a share of the largest logit.

    Raises:
        InputError: the file computes something else than the model, or nothing.
    """
    ids, mask = _example(model)
    positions = np.where(mask > 0, np.cumsum(mask, 1) - 1, -1).astype(np.int32)
    with model.backend, model.backend.inference():
        whole = model.forward(params, ids.astype(np.int32), positions=positions)
    try:
        found = _run(path, ids, mask)
    except Exception as error:  # the runtime raises its own for what it cannot run
        raise InputError(f"export: the graph of this model can't be run: {error}") from error
    real = mask > 0
    apart = np.abs(found - whole)[real].max() / np.abs(whole[real]).max()
    if not apart <= _ALLOWED:
        raise InputError(
            "export: expected a graph with the model's logits at other shapes too, got one that "
            f"differs by {apart:.1e} of the largest logit: this kind of model can't be exported"
        )
    return float(apart)


def _example(model: Model) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and mask of two rows, as long as the context allows."""
    config = model.config
    length = min(sum(_STEPS), config.context or sum(_STEPS))
    vocab = (config.target_embedding or config.embedding).vocab
    ids = np.random.default_rng(0).integers(0, vocab, (2, length))
    mask = np.ones((2, length), np.int64)
    mask[1, : min(2, length - 1)] = 0
    return ids, mask


def _run(path: Path, ids: NDArray[Any], mask: NDArray[Any]) -> NDArray[Any]:
    """The logits of all tokens, fed in several calls."""
    session = onnxruntime.InferenceSession(
        str(path), new_options(), providers=["CPUExecutionProvider"]
    )
    caches = [value for value in session.get_inputs() if value.name.startswith("past")]
    past: Sequence[NDArray[Any]] = [
        np.zeros((2, cache.shape[1], 0, cache.shape[3]), np.float32) for cache in caches
    ]
    logits, start = [], 0
    for count in _STEPS:
        columns = ids[:, start : start + count]
        if not columns.size:
            break
        start += columns.shape[1]
        feeds = {"input_ids": columns, "attention_mask": mask[:, :start]}
        feeds |= {cache.name: x for cache, x in zip(caches, past, strict=True)}
        scores, *past = session.run(None, feeds)
        logits.append(scores)
    return np.concatenate(logits, 1)
