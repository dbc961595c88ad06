"""What a trainer refuses: batches that the model cannot take, and numbers that are not finite."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import InputError, NotFiniteError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig
    from lmkernel.interfaces import StepResult
    from lmkernel.training.data import Batch

__all__ = [
    "check_batch",
    "check_finite",
    "check_finite_values",
    "check_same_shapes",
    "check_validation",
]


def check_batch(config: ModelConfig, batch: Batch, where: str) -> None:
    """Tokens, positions and class targets are what the model has a place for.

    Raises:
        InputError: names the array, what was expected and what came.
    """
    missing = {"inputs", "targets"} - batch.keys()
    if missing:
        raise InputError(f"{where}: expected the arrays inputs and targets, got {sorted(batch)}")
    target = config.target_embedding or config.embedding
    _within(batch, "inputs", config.embedding.vocab, where)
    _within(batch, "target", target.vocab, where)
    if config.head is not None and batch["targets"].dtype.kind == "i":
        _within(batch, "targets", config.head.size, where)
    if config.context and config.embedding.vocab:
        _fits(config.context, batch, where)


def _within(batch: Batch, name: str, size: int, where: str) -> None:
    values = batch.get(name)
    if values is None or not size or not values.size or values.dtype.kind != "i":
        return
    too_low = name != "targets" and values.min() < 0  # a negative target is ignored
    if too_low or values.max() >= size:
        raise InputError(
            f"{where}: {name}: expected numbers in 0 … {size - 1}, "
            f"got {values.min()} … {values.max()}"
        )


def _fits(context: int, batch: Batch, where: str) -> None:
    positions = batch.get("positions")
    longest = batch["inputs"].shape[1] if positions is None else int(positions.max()) + 1
    if longest > context:
        raise InputError(
            f"{where}: expected sequences within the model's context of {context}, "
            f"got one of {longest}"
        )


def check_finite(result: StepResult, step: int, batches: range) -> None:
    """Raise `NotFiniteError` unless loss and gradient are numbers."""
    if math.isfinite(result.loss) and math.isfinite(result.norm):
        return
    numbers = str(batches[0]) if len(batches) == 1 else f"{batches[0]} … {batches[-1]}"
    raise NotFiniteError(
        f"step {step}, batch {numbers}: expected a finite loss and gradient, got a loss of "
        f"{result.loss} and a gradient of norm {result.norm}"
    )


def check_validation(loss: float, step: int) -> None:
    """Raise `NotFiniteError` unless the loss on the validation data is a number."""
    if not math.isfinite(loss):
        raise NotFiniteError(f"step {step}: expected a finite validation loss, got {loss}")


def check_finite_values(values: Mapping[str, NDArray[Any]], step: int) -> None:
    """Raise `NotFiniteError` unless all that was trained is numbers, so that it may be written."""
    for name, array in values.items():
        if not np.isfinite(array).all():
            raise NotFiniteError(
                f"step {step}: {name}: expected finite values, got NaN or infinity"
            )


def check_same_shapes(what: str, expected: Mapping[str, Any], got: Mapping[str, Any]) -> None:
    """Raise `InputError` unless saved arrays have the names and shapes that this trainer's have."""
    missing, surplus = expected.keys() - got.keys(), got.keys() - expected.keys()
    if missing or surplus:
        lacking = f"lacks {min(missing)!r}" if missing else f"has {min(surplus)!r} beside them"
        raise InputError(f"{what}: expected the names that this run has, got a file that {lacking}")
    for name, array in expected.items():
        shape, there = tuple(array.shape), tuple(got[name].shape)
        if there != shape:
            raise InputError(f"{what}: {name}: expected the shape {shape}, got {there}")
