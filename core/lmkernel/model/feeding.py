"""The input of a decoding step: host tokens and positions, checked and padded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import InputError, shown
from lmkernel.model.state import DecodingState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig, RotaryConfig
    from lmkernel.contract.mandatory import Tree
    from lmkernel.model.stepping import Stepping

    Columns = tuple[NDArray[np.int32], NDArray[np.int32]]

__all__ = [
    "check_step",
    "join_columns",
    "pad_left",
    "started_anew",
]


def check_step(
    config: ModelConfig, state: object, tokens: NDArray[Any], positions: NDArray[Any]
) -> Columns:
    """Tokens and positions as int32, if they can be fed to a state; else `InputError`."""
    if not isinstance(state, DecodingState):
        raise InputError(f"state: expected a DecodingState, got {shown(state)}")
    batch = state.batch
    _require_integers("tokens", tokens)
    _require_integers("positions", positions)
    whole = tokens.size and tokens.shape == (batch, tokens.size // batch) == positions.shape
    if not whole:
        raise InputError(
            f"expected tokens and positions of shape ({batch}, time), "
            f"got {tokens.shape} and {positions.shape}"
        )
    vocab = (config.target_embedding or config.embedding).vocab
    if vocab and not (tokens.min() >= 0 and tokens.max() < vocab):
        raise InputError(f"expected tokens in 0 … {vocab - 1}, got {tokens.min()} … {tokens.max()}")
    if positions.min() < -1 or positions.max() >= (config.context or 1 << 31):
        most = f"below the context of {config.context}" if config.context else "of 32 bits"
        raise InputError(
            f"expected positions {most}, -1 for padding, got {positions.min()} … {positions.max()}"
        )
    return tokens.astype(np.int32, copy=False), positions.astype(np.int32, copy=False)


def _require_integers(what: str, given: object) -> None:
    if not isinstance(given, np.ndarray) or given.dtype.kind not in "iu":
        got = given.dtype if isinstance(given, np.ndarray) else type(given).__name__
        raise InputError(f"{what}: expected a NumPy array of integers, got {got}")


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


def _turns_anew(
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


def started_anew(
    model: Stepping,
    params: Tree,
    tokens: NDArray[np.int32],
    positions: NDArray[np.int32],
    state: DecodingState,
) -> tuple[NDArray[np.int32], NDArray[np.int32], DecodingState]:
    """What to feed to which state; all from the start, where angles change as rows grow."""
    if state.fed is None:
        return tokens, positions, state
    fed = join_columns(state.fed, (tokens, positions))
    # keys that are kept were turned by the angles of a shorter row, and what later layers made of
    # them, too: only computing them again gives what the whole row would give
    if _turns_anew(model.config.embedding.rotaries, state.fed[1], positions):
        state.consume()
        state = model.begin(params, state.batch, max(state.capacity, fed[0].shape[1]))
        tokens, positions = fed
    state.fed = fed
    return tokens, positions, state
