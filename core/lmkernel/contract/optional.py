"""The optional tier: operations with a default composed from the mandatory tier.

Constraints: a backend may override any of them with a function of the same signature; the default
is in `lmkernel.composed`. Sums over 16-bit floats accumulate in float32, and results come back in
the dtype of the input.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from lmkernel.contract.mandatory import Array, MandatoryOps

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Ops", "OptionalOps"]


class OptionalOps(MandatoryOps):
    """Signatures of the composed operations."""

    @abstractmethod
    def mean(self, x: Array, axis: int, *, keepdims: bool = False) -> Array:
        """Arithmetic mean along one axis."""

    @abstractmethod
    def softmax(self, x: Array, axis: int = -1) -> Array:
        """``exp(x - max) / sum(exp(x - max))`` along ``axis``."""

    @abstractmethod
    def log_softmax(self, x: Array, axis: int = -1) -> Array:
        """``x - max - log(sum(exp(x - max)))`` along ``axis``."""

    @abstractmethod
    def linear(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        """``x (…, in)`` times the transpose of ``weight (out, in)``, plus ``bias (out,)``."""

    @abstractmethod
    def relu(self, x: Array) -> Array:
        """max(x, 0)."""

    @abstractmethod
    def silu(self, x: Array) -> Array:
        """X · sigmoid(x) (Elfwing et al. 2017, arXiv:1702.03118)."""

    @abstractmethod
    def gelu(self, x: Array) -> Array:
        """X · Φ(x), with the error function (Hendrycks & Gimpel 2016, arXiv:1606.08415, §2)."""

    @abstractmethod
    def gelu_tanh(self, x: Array) -> Array:
        """The tanh approximation of `gelu` (ibid., §2)."""

    @abstractmethod
    def layer_norm(self, x: Array, weight: Array, bias: Array | None, eps: float) -> Array:
        """``(x - mean) / sqrt(var + eps) · weight + bias`` over the last axis (arXiv:1607.06450).

        The variance is the biased one, in two passes.
        """

    @abstractmethod
    def rms_norm(self, x: Array, weight: Array, eps: float) -> Array:
        """``x / sqrt(mean(x²) + eps) · weight`` over the last axis (arXiv:1910.07467, eq. 4)."""

    @abstractmethod
    def mse(self, prediction: Array, target: Array) -> Array:
        """Mean squared difference over all elements, 0-d."""

    @abstractmethod
    def soft_cross_entropy(self, logits: Array, target: Array) -> Array:
        """``-Σ target · log_softmax(logits)`` over the last axis; ``(…, classes) -> (…)``."""


class Ops(OptionalOps):
    """Both tiers, put together once when a backend is loaded, and frozen."""

    @property
    @abstractmethod
    def overridden(self) -> Mapping[str, object]:
        """The optional operations that the backend supplies itself, by name."""
