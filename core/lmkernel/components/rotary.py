"""The angles of RoPE: a cosine and a sine for each position and frequency.

Constraint: the angles of positions near 131,072 are as exact as those near 0. A float32 product of
such a position and a frequency is off by up to 0.004 radians, so it is never formed: the cosines
and sines of a position are put together from those of its digits, which come from float64 tables.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, final

import numpy as np

from lmkernel.contract.capabilities import WIDE

if TYPE_CHECKING:
    from lmkernel.config import RotaryConfig
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["Rotation", "frequencies"]

_BASE, _DIGITS = 256, 3
"""Positions are written in this base with so many digits: up to 16,777,215."""

Frequencies = np.ndarray[tuple[int], np.dtype[np.float64]]
Table = tuple[
    np.ndarray[tuple[int, int], np.dtype[np.float64]],
    np.ndarray[tuple[int, int], np.dtype[np.float64]],
]
"""Cosines and sines of the values of one digit, each ``(base, dim / 2)``."""


def frequencies(config: RotaryConfig, *, long: bool = False) -> Frequencies:
    """The frequencies in radians per position, float64 ``(dim / 2,)``.

    They are theta^(-2i/dim), scaled as configured (see `RotaryConfig`). ``long`` asks for those of
    rows beyond the original context, where ``"longrope"`` has others.
    """
    turning = config.dim // 2 - config.still
    plain = config.theta ** (-2 * np.arange(turning, dtype=np.float64) / config.dim)
    if config.scaling == "longrope":
        plain = plain / np.array(config.long_factors if long else config.short_factors)[:turning]
    elif config.scaling == "linear":
        plain = plain / config.factor
    elif config.scaling in ("llama3", "yarn"):
        kept = _share_by_turns(plain, config) if config.scaling == "llama3" else _ramp(config)
        plain = kept * plain + (1 - kept) * plain / config.factor
    return np.concatenate([plain, np.zeros(config.still)])


def _share_by_turns(plain: Frequencies, config: RotaryConfig) -> Frequencies:
    """How much of each frequency is kept, by its turns within the original context."""
    # high frequencies (short wavelengths) stay, low ones are stretched
    turns = config.original_context * plain / (2 * math.pi)
    low, high = config.low_freq_factor, config.high_freq_factor
    return np.clip((turns - low) / (high - low), 0, 1)


def _ramp(config: RotaryConfig) -> Frequencies:
    """How much of each frequency is kept, by its index (arXiv:2309.00071, §3.2)."""

    def index_of(turns: float) -> float:
        # the frequency with so many turns within the original context, as a fractional index
        wavelengths = config.original_context / (turns * 2 * math.pi)
        return config.dim * math.log(wavelengths) / (2 * math.log(config.theta))

    low, high = index_of(config.beta_fast), index_of(config.beta_slow)
    if config.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, config.dim - 1)
    # the published code widens an empty ramp by a thousandth rather than dividing by zero
    high = high + 0.001 if low == high else high
    index = np.arange(config.dim // 2 - config.still, dtype=np.float64)
    return 1 - np.clip((index - low) / (high - low), 0, 1)


@final
class Rotation:
    """The turns of one RoPE, whose tables are made once.

    Args:
        ops: the backend's operations.
        config: which RoPE.
    """

    def __init__(self, ops: Ops, config: RotaryConfig) -> None:
        self._ops, self._config = ops, config
        self._tables = _tables(config, long=False)
        self._long_tables = _tables(config, long=True) if config.scaling == "longrope" else []

    def __call__(self, positions: Array, dtype: DType) -> tuple[Array, Array]:
        """Cosines and sines of position · frequency, each ``(batch, 1, time, dim / 2)``.

        Where angles depend on the length of a row, it is the row's own, so that an answer does not
        depend on what else is in the batch.

        Args:
            positions: int32 ``(batch, time)``, 0 or more.
            dtype: of the result; all is computed in float32 or wider.
        """
        ops, config = self._ops, self._config
        wide = WIDE.get(dtype, dtype)
        if config.scaling == "dynamic":
            cos, sin = _angles_of_length(ops, positions, config, wide)
        else:
            cos, sin = _angles_by_digits(ops, positions, self._tables, wide)
        if config.scaling == "longrope":
            beyond = _length(ops, positions) > ops.full((), config.original_context, "int32")
            long_cos, long_sin = _angles_by_digits(ops, positions, self._long_tables, wide)
            cos, sin = ops.where(beyond, long_cos, cos), ops.where(beyond, long_sin, sin)
        if config.attention_factor != 1:
            factor = ops.full((), config.attention_factor, wide)
            cos, sin = cos * factor, sin * factor
        return ops.astype(cos, dtype), ops.astype(sin, dtype)


def _length(ops: Ops, positions: Array) -> Array:
    """The length of each row, ``(batch, time) -> (batch, 1, 1, 1)``."""
    last = ops.max(positions, 1)
    return ops.reshape(last + ops.full((), 1, "int32"), (positions.shape[0], 1, 1, 1))


def _tables(config: RotaryConfig, *, long: bool) -> list[Table]:
    """For each digit, the last first, cosines and sines of its values, ``(base, dim / 2)``."""
    digits = np.arange(_BASE, dtype=np.float64)[:, None]
    places = [digits * float(_BASE**k) * frequencies(config, long=long) for k in range(_DIGITS)]
    return [(np.cos(angles), np.sin(angles)) for angles in places]


def _angles_by_digits(
    ops: Ops, positions: Array, tables: list[Table], dtype: DType
) -> tuple[Array, Array]:
    (batch, time), half = positions.shape, tables[0][0].shape[1]
    rest, base = positions, ops.full((), _BASE, "int32")
    cos, sin = ops.full((), 1.0, dtype), ops.full((), 0.0, dtype)
    for cosines, sines in tables:
        # dividing by a power of two is exact, and the conversion to integers cuts what is behind
        # the point
        quotient = ops.astype(ops.astype(rest, "float32") / ops.full((), _BASE, "float32"), "int32")
        digit, rest = rest - quotient * base, quotient
        c = ops.take(ops.asarray(cosines, dtype), digit, 0)
        s = ops.take(ops.asarray(sines, dtype), digit, 0)
        # the angles of the digits add up
        cos, sin = cos * c - sin * s, sin * c + cos * s
    shape = (batch, 1, time, half)
    return ops.reshape(cos, shape), ops.reshape(sin, shape)


def _angles_of_length(
    ops: Ops, positions: Array, config: RotaryConfig, dtype: DType
) -> tuple[Array, Array]:
    """Dynamic NTK: theta grows with the row, theta · g^(dim / (dim - 2)), so no table holds it.

    g is factor · length / original_context - (factor - 1), and 1 in rows within that context.
    """
    batch, time = positions.shape
    context = ops.full((), config.original_context, dtype)
    length = ops.maximum(ops.astype(_length(ops, positions), dtype), context)
    factor, one = ops.full((), config.factor, dtype), ops.full((), 1.0, dtype)
    growth = factor * length / context - (factor - one)
    index = 2 * np.arange(config.dim // 2, dtype=np.float64)
    powers = ops.asarray(-index / max(1, config.dim - 2), dtype)
    scaled = ops.asarray(frequencies(config), dtype) * ops.exp(powers * ops.log(growth))
    angles = ops.reshape(ops.astype(positions, dtype), (batch, 1, time, 1)) * scaled
    return ops.cos(angles), ops.sin(angles)
