"""Rotary positions (arXiv:2104.09864) and sinusoids (arXiv:1706.03762, §3.5)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.tape import raw

if TYPE_CHECKING:
    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["frequencies", "rotate", "rotation", "sinusoids"]

Host = Any


def frequencies(config: Any) -> Host:
    """Radians a position of each pair: theta^(-2i/dim), then scaled for longer contexts.

    Llama 3.1: a wavelength below ``context / high`` is kept, one above ``context / low`` grows by
    ``factor``, and between the two the frequencies are mixed linearly in context / wavelength.
    """
    found = []
    for i in range(config.dim // 2):
        plain = float(config.theta ** (-2 * i / config.dim))
        found.append(_scaled(plain, config))
    return np.array(found)


def _scaled(plain: float, config: Any) -> Any:
    if config.scaling == "linear":
        return plain / config.factor
    if config.scaling == "none":
        return plain
    wavelength = 2 * math.pi / plain
    if wavelength < config.original_context / config.high_freq_factor:
        return plain
    if wavelength > config.original_context / config.low_freq_factor:
        return plain / config.factor
    span = config.high_freq_factor - config.low_freq_factor
    share = (config.original_context / wavelength - config.low_freq_factor) / span
    return (1 - share) * plain / config.factor + share * plain


def rotation(ar: Arithmetic, positions: Host, config: Any) -> tuple[Host, Host]:
    """Cosines and sines, ``(batch, time) -> (batch, 1, time, dim / 2)``; padding turns as 0."""
    steps = ar.constant(np.maximum(positions, 0))[:, None, :, None]
    angles = steps * ar.constant(frequencies(config))
    return ar.cos(angles), ar.sin(angles)


def rotate(ar: Arithmetic, x: Host, cos: Host, sin: Host) -> Host:
    """Pairs (i, i + half) as complex numbers, times cos + i·sin; the rest is kept."""
    half = raw(cos).shape[-1]
    real, imaginary, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    turned = [real * cos - imaginary * sin, real * sin + imaginary * cos]
    return ar.concat([*turned, rest], -1)


def sinusoids(ar: Arithmetic, positions: Host, width: int) -> Host:
    """Element 2i is sin(p / 10000^(2i/width)), element 2i + 1 its cosine."""
    rates = np.array([10000.0 ** (-2 * (j // 2) / width) for j in range(width)])
    angles = ar.constant(np.maximum(positions, 0))[..., None] * ar.constant(rates)
    even = np.arange(width) % 2 == 0
    return ar.where(even, ar.sin(angles), ar.cos(angles))
