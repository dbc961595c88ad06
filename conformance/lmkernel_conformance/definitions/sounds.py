"""Sounds: energies by mel bands, convolutions in time, and what encoders of sounds begin with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.oracle.activation import activate, gelu
from lmkernel_conformance.oracle.norm import dense, layer_norm
from lmkernel_conformance.oracle.tape import raw
from lmkernel_conformance.oracle.transformer import normalize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.oracle.arithmetic import Arithmetic

__all__ = ["convolution", "features", "frames", "mel_filters", "waves"]

Host = Any
_BEND, _OCTAVE = 15.0, 27.0
"""Slaney's scale is linear up to 15 mels, which are 1000 Hz; 27 more are a factor of 6.4."""
_HIGHEST = 8000.0
_EPS = 1e-5


def _hertz(mel: float) -> float:
    return mel * 200 / 3 if mel < _BEND else 1000 * 6.4 ** ((mel - _BEND) / _OCTAVE)


def mel_filters(bins: int, window: int, rate: int) -> Host:
    """Triangles of the area 1 over the frequencies of a spectrum, ``(window // 2 + 1, bins)``.

    Source: Slaney 1998, "Auditory Toolbox"; their corners are as far from each other in mels.
    """
    last = _BEND + _OCTAVE * math.log(_HIGHEST / 1000) / math.log(6.4)
    corners = [_hertz(last * i / (bins + 1)) for i in range(bins + 2)]
    table = np.zeros((window // 2 + 1, bins))
    for k in range(window // 2 + 1):
        f = k * rate / window
        for i, (low, top, high) in enumerate(zip(corners, corners[1:], corners[2:], strict=False)):
            height = min((f - low) / (top - low), (high - f) / (high - top))
            table[k, i] = max(0.0, height) * 2 / (high - low)
    return table


def features(samples: Host, *, bins: int, window: int, hop: int, rate: int) -> Host:
    """What Whisper hears (arXiv:2212.04356, §2.2), ``(frames, bins)``, by the definition.

    A frame is the middle of its window, the sound being mirrored at both ends; the frame behind the
    last hop is none. Logarithms lie within 8 of the largest, and become (x + 4) / 4.
    """
    half = window // 2
    mirrored = np.concatenate([samples[half:0:-1], samples, samples[-2 : -half - 2 : -1]])
    shape = np.sin(np.pi * np.arange(window) / window) ** 2
    turned = np.exp(-2j * np.pi * np.outer(np.arange(window), np.arange(half + 1)) / window)
    filters = mel_filters(bins, window, rate)
    rows = [
        np.abs(mirrored[hop * i : hop * i + window] * shape @ turned) ** 2 @ filters
        for i in range(len(samples) // hop)
    ]
    found = np.log10(np.maximum(np.array(rows), 1e-10))
    return (np.maximum(found, found.max() - 8) + 4) / 4


def convolution(
    ar: Arithmetic, x: Host, weight: Host, bias: Host = None, *, stride: int = 1, edge: int = 0
) -> Host:
    """Σₖ W[:, :, k] · x[t·stride + k - edge], with zeros outside, ``(batch, outputs, out)``.

    Args:
        ar: the arithmetic.
        x: ``(batch, time, in)``.
        weight: ``(out, in, kernel)``.
        bias: ``(out,)``, or None.
        stride: steps from one output to the next.
        edge: how many zeros stand before the first step, and after the last.
    """
    (batch, time, into), (out, _, kernel) = raw(x).shape, raw(weight).shape
    if edge:
        zeros = ar.full((batch, edge, into), 0.0)
        x = ar.concat([zeros, x, zeros], 1)
    matrix = ar.reshape(ar.transpose(weight, (2, 1, 0)), (kernel * into, out))
    windows = [
        ar.reshape(x[:, begin : begin + kernel], (batch, 1, kernel * into))
        for begin in range(0, time + 2 * edge - kernel + 1, stride)
    ]
    whole = ar.reshape(ar.concat(windows, 1), (batch * len(windows), kernel * into))
    y = ar.reshape(ar.matmul(whole, matrix), (batch, len(windows), out))
    return y if bias is None else ar.narrow(y) + bias


def frames(ar: Arithmetic, x: Host, p: Mapping[str, Host], name: str) -> Host:
    """Two convolutions over three frames each, the second one of every other, and positions.

    ``(batch, time, bins) -> (batch, ⌈time / 2⌉, width)`` (arXiv:2212.04356, §2.2).
    """
    for part, stride in (("first", 1), ("second", 2)):
        own = p[f"{name}.{part}.weight"], p[f"{name}.{part}.bias"]
        x = gelu(ar, convolution(ar, x, *own, stride=stride, edge=1))
    return x + p[f"{name}.positions.weight"][: raw(x).shape[1]]


def waves(
    ar: Arithmetic, x: Host, real: Host, p: Mapping[str, Host], name: str, config: Any
) -> Host:
    """Vectors of samples (arXiv:2006.11477, §2), and what those around each tell of its position.

    Args:
        ar: the arithmetic.
        x: ``(batch, time, 1)``.
        real: which vectors are no padding, ``(batch, vectors)``.
        p: parameters by dotted name.
        name: the prefix of the embedding's parameters.
        config: the configuration of the embedding.
    """
    w = config.waves
    for i, stride in enumerate(w.strides):
        at = f"{name}.layers.{i}"
        x = convolution(ar, x, p[f"{at}.weight"], p.get(f"{at}.bias"), stride=stride)
        if w.norm == "layer":
            x = layer_norm(ar, x, p[f"{at}.norm.weight"], p[f"{at}.norm.bias"], _EPS)
        elif i == 0:
            x = _over_time(ar, x, p[f"{at}.norm.weight"], p[f"{at}.norm.bias"])
        x = activate(ar, x, w.activation)
    if w.projected_norm is not None:
        x = normalize(ar, x, p, f"{name}.projected_norm", w.projected_norm)
    x = ar.where(real[..., None], dense(ar, x, p, f"{name}.project"), 0.0)
    x = x + _around(ar, x, p, f"{name}.positions", w)
    return x if config.norm is None else normalize(ar, x, p, f"{name}.norm", config.norm)


def _over_time(ar: Arithmetic, x: Host, weight: Host, bias: Host) -> Host:
    """Each element with the mean 0 and the variance 1 over all steps, padding too."""
    centred = x - ar.mean(x, 1, keepdims=True)
    variance = ar.mean(centred * centred, 1, keepdims=True)
    return centred / ar.sqrt(variance + _EPS) * weight + bias


def _around(ar: Arithmetic, x: Host, p: Mapping[str, Host], name: str, w: Any) -> Host:
    """A convolution of shares of the vectors, whose kernel has a length at each of its steps."""
    direction = p[f"{name}.direction.weight"]
    squares = ar.sum(ar.sum(direction * direction, 0, keepdims=True), 1, keepdims=True)
    kernel = direction * (p[f"{name}.length.weight"] / ar.sqrt(squares))
    time, width = raw(x).shape[1:]
    share = width // w.position_groups
    bias, edge = p[f"{name}.bias"], w.position_kernel // 2
    parts = [
        convolution(
            ar, x[:, :, i : i + share], kernel[i : i + share], bias[i : i + share], edge=edge
        )
        for i in range(0, width, share)
    ]
    # an even kernel gives one vector more than there are
    return activate(ar, ar.concat(parts, 2)[:, :time], w.activation)
