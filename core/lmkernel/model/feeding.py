"""The input of a decoding step: host tokens and positions, checked and padded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmkernel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig, RotaryConfig

    Columns = tuple[NDArray[np.int32], NDArray[np.int32]]

__all__ = ["check_step", "join_columns", "pad_left", "turns_anew"]


def check_step(
    config: ModelConfig, batch: int, tokens: NDArray[np.int32], positions: NDArray[np.int32]
) -> None:
    """Raise `InputError` unless these can be fed to a state of ``batch`` rows."""
    if tokens.ndim != 2 or tokens.shape != positions.shape or tokens.shape[0] != batch:  # noqa: PLR2004 - rows and columns
        raise InputError(
            f"expected tokens and positions of shape ({batch}, time), "
            f"got {tokens.shape} and {positions.shape}"
        )
    vocab = (config.target_embedding or config.embedding).vocab
    if vocab and tokens.size and not (tokens.min() >= 0 and tokens.max() < vocab):
        raise InputError(f"expected tokens in 0 … {vocab - 1}, got {tokens.min()} … {tokens.max()}")
    if config.context and positions.max(initial=-1) >= config.context:
        raise InputError(
            f"expected positions below the context of {config.context}, got {positions.max()}"
        )


def pad_left(
    tokens: NDArray[np.int32], positions: NDArray[np.int32], length: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Both with padding on the left, ``(batch, length)``."""
    more = length - tokens.shape[1]
    if not more:
        return tokens, positions
    pad = ((0, 0), (more, 0))
    return np.pad(tokens, pad), np.pad(positions, pad, constant_values=-1)


def join_columns(before: Columns, after: Columns) -> Columns:
    """Tokens and positions one after the other."""
    tokens, positions = (np.concatenate(pair, 1) for pair in zip(before, after, strict=True))
    return tokens, positions


def turns_anew(
    rotaries: Iterable[RotaryConfig], before: NDArray[np.int32], after: NDArray[np.int32]
) -> bool:
    """Whether further positions make a row so long that those before them turn by other angles.

    Both are host ``(batch, time)``.
    """
    old, new = (p.max(axis=1, initial=-1) + 1 for p in (before, after))
    for rotary in rotaries:
        beyond = new > rotary.original_context
        # one set of frequencies follows the other, or they change with every position
        changes = old <= rotary.original_context if rotary.scaling == "longrope" else old > 0
        if rotary.depends_on_length and bool((beyond & changes & (old > 0)).any()):
            return True
    return False
