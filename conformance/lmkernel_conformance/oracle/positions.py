"""Rotary position embeddings, RoPE (arXiv:2104.09864), and sinusoids (arXiv:1706.03762, §3.5)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.tape import raw

if TYPE_CHECKING:
    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["frequencies", "rotate", "rotation", "sinusoids"]

Host = Any


def frequencies(config: Any, length: int = 0) -> Host:
    """The RoPE frequency of each pair, in radians per position: theta^(-2i/dim), then scaled.

    Args:
        config: the `lmkernel.config.RotaryConfig`. Its scaling "linear" divides all frequencies by
            ``factor``. "llama3" keeps those with a wavelength below ``context / high_freq_factor``,
            divides those above ``context / low_freq_factor``, and mixes the two in between. "yarn"
            mixes by the index of the frequency (arXiv:2309.00071, eq. 18 to 23). The last ones,
            as many as ``still``, are zero.
        length: number of positions of the row, on which "longrope" (arXiv:2402.13753) and "dynamic"
            depend: the one has a divisor of its own for each frequency, and others in rows beyond
            the context; the theta of the other grows with such rows.
    """
    found = []
    theta, beyond = config.theta, length > config.original_context
    if config.scaling == "dynamic" and beyond:
        growth = config.factor * length / config.original_context - (config.factor - 1)
        theta = theta * growth ** (config.dim / (config.dim - 2))
    for i in range(config.dim // 2):
        plain = float(theta ** (-2 * i / config.dim))
        if config.scaling == "longrope":
            plain /= (config.long_factors if beyond else config.short_factors)[i]
        turning = i < config.dim // 2 - config.still
        found.append(_scale_frequency(plain, i, config) if turning else 0.0)
    return np.array(found)


def _scale_frequency(plain: float, index: int, config: Any) -> Any:
    """One frequency, stretched for a longer context."""
    if config.scaling == "linear":
        return plain / config.factor
    if config.scaling in ("none", "dynamic", "longrope"):
        return plain
    if config.scaling == "yarn":
        share = _kept_by_yarn(index, config)
        return (1 - share) * plain / config.factor + share * plain
    wavelength = 2 * math.pi / plain
    if wavelength < config.original_context / config.high_freq_factor:
        return plain
    if wavelength > config.original_context / config.low_freq_factor:
        return plain / config.factor
    # The share of the plain frequency is linear in context / wavelength, 1 at the short end and 0
    # at the long one, so that the scaled frequencies join both without a jump.
    span = config.high_freq_factor - config.low_freq_factor
    share = (config.original_context / wavelength - config.low_freq_factor) / span
    return (1 - share) * plain / config.factor + share * plain


def _kept_by_yarn(index: int, config: Any) -> float:
    """The share of a frequency that stays: 1 up to the index that turns ``beta_fast`` times."""

    def turning(times: float) -> float:
        # solves theta^(-2i/dim)·context = 2π·times for i
        radians = config.original_context / (2 * math.pi * times)
        return float(config.dim / 2 * math.log(radians, config.theta))

    fast, slow = turning(config.beta_fast), turning(config.beta_slow)
    if config.truncate:
        fast, slow = math.floor(fast), math.ceil(slow)
    fast, slow = max(fast, 0), min(slow, config.dim - 1)
    if fast == slow:
        return float(index <= fast)
    return float(np.clip((slow - index) / (slow - fast), 0, 1))


def rotation(ar: Arithmetic, positions: Host, config: Any) -> tuple[Host, Host]:
    """Cosines and sines of RoPE, ``(batch, 1, time, dim / 2)``; padding is at position 0.

    Args:
        ar: the arithmetic.
        positions: positions, ``(batch, time)``; -1 is padding.
        config: the configuration of RoPE.
    """
    steps = ar.constant(np.maximum(positions, 0))[:, None, :, None]
    rows = [frequencies(config, int(row.max()) + 1) for row in np.asarray(positions)]
    angles = steps * ar.constant(np.array(rows))[:, None, None, :]
    return ar.cos(angles) * config.attention_factor, ar.sin(angles) * config.attention_factor


def rotate(ar: Arithmetic, x: Host, cos: Host, sin: Host) -> Host:
    """Apply RoPE to heads: pairs (i, i + half) as complex numbers, times cos + i·sin.

    Elements behind both halves are not rotated. Pairing halves is the convention of the checkpoints
    on Hugging Face; the paper pairs neighbours.
    """
    half = raw(cos).shape[-1]
    real, imaginary, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    turned = [
        ar.narrow(real * cos) - ar.narrow(imaginary * sin),
        ar.narrow(real * sin) + ar.narrow(imaginary * cos),
    ]
    return ar.concat([*turned, rest], -1)


def sinusoids(ar: Arithmetic, positions: Host, width: int, layout: str = "pairs") -> Host:
    """Sinusoidal positions: sin and cos of p / 10000^(2i/width) for each i.

    Args:
        ar: the arithmetic.
        positions: positions, ``(batch, time)``; -1 is padding.
        width: size of a vector.
        layout: ``"pairs"`` has sine 2i beside cosine 2i + 1; ``"halves"`` has all sines first, and
            ``"halves_to_last"`` too, with rates whose last is 1/10000.
    """
    half = width // 2
    last = half - 1 if layout == "halves_to_last" else half
    places = [(j // 2, j % 2) if layout == "pairs" else (j % half, j // half) for j in range(width)]
    frequency = np.array([10000.0 ** (-i / last) for i, _ in places])
    angles = ar.constant(np.maximum(positions, 0))[..., None] * ar.constant(frequency)
    is_sine = np.array([side == 0 for _, side in places])
    return ar.where(is_sine, ar.sin(angles), ar.cos(angles))
