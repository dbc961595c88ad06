"""Inputs of the cases: the same on every machine, without symmetries that could hide a mistake."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.random import normals, uniforms

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["extent", "normal", "parameters", "tokens", "uniform"]

Host = Any

_USUAL = 20240617
SEED = int(os.environ.get("LMKERNEL_CONFORMANCE_SEED") or _USUAL)
"""The seed of all inputs; a run with fresh inputs sets the variable before it imports the suite."""


def normal(purpose: str, *shape: int, scale: float = 1.0, shift: float = 0.0) -> Host:
    """Normal draws from a stream that ``purpose`` names."""
    return normals(SEED, f"case.{purpose}", math.prod(shape)).reshape(shape) * scale + shift


def uniform(purpose: str, *shape: int, low: float, high: float) -> Host:
    """Uniform draws between two bounds, from a stream that ``purpose`` names."""
    return uniforms(SEED, f"case.{purpose}", math.prod(shape)).reshape(shape) * (high - low) + low


def extent(purpose: str, usual: int) -> int:
    """The extent of an axis: the usual one, and with fresh inputs up to three more."""
    if SEED == _USUAL:
        return usual
    return usual + int(uniforms(SEED, f"extent.{purpose}", 1)[0] * 4)


def tokens(purpose: str, *shape: int, vocab: int) -> Host:
    """Token ids, int32, of ``shape``; no row is the reverse or a shift of another."""
    draws = uniforms(SEED, f"tokens.{purpose}", math.prod(shape)) * vocab
    return draws.astype(np.int32).reshape(shape)


def parameters(purpose: str, declared: Mapping[str, Any], *, gain: float = 1.0) -> dict[str, Host]:
    """A value for each declared parameter, by dotted name; none is zero and none is one.

    Matrices have a standard deviation of ``gain / sqrt(in)``, tables one of 1, biases one of 0.3;
    the weights of a normalisation lie between 0.5 and 1.7.
    """
    return {name: _parameter(f"{purpose}.{name}", name, p, gain) for name, p in declared.items()}


def _parameter(purpose: str, name: str, param: Any, gain: float) -> Host:
    if name.endswith("bias"):
        return normal(purpose, *param.shape, scale=0.3)
    if len(param.shape) == 1:
        low = 0.5 if param.init.kind == "ones" else -0.5
        return uniform(purpose, *param.shape, low=low, high=low + 1.2)
    if param.axes[0] in ("vocab", "position", "segment"):
        return normal(purpose, *param.shape)
    return normal(purpose, *param.shape, scale=gain / math.sqrt(param.shape[1]))
