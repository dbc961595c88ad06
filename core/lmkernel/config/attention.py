"""Attention, and its rotary position embedding (RoPE)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from lmkernel.config.check import frozen_options, one_of, positive, require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.config.norm import NormConfig

__all__ = ["AttentionConfig", "RotaryConfig"]


@final
@dataclass(frozen=True, kw_only=True)
class RotaryConfig:
    """RoPE, the rotary position embedding (arXiv:2104.09864).

    Args:
        dim: number of elements of a head that are rotated; even.
        theta: base of the wavelengths.
        scaling: ``"none"``, ``"linear"`` (positions divided by ``factor``) or ``"llama3"`` (long
            wavelengths divided by ``factor``, short ones kept, a ramp between; Llama 3.1).
        factor: divisor of positions or wavelengths, as ``scaling`` says.
        low_freq_factor: turns within ``original_context`` up to which ``"llama3"`` scales fully.
        high_freq_factor: turns from which ``"llama3"`` scales nothing.
        original_context: the context that the model was trained with, for ``"llama3"``.
    """

    dim: int
    theta: float = 10000.0
    scaling: str = "none"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 8192

    def __post_init__(self) -> None:
        positive(self, "dim", "original_context")
        require(self, "dim", "an even number", ok=self.dim % 2 == 0)
        require(self, "theta", "a positive number", ok=self.theta > 0)
        require(self, "factor", "a number of at least 1", ok=self.factor >= 1)
        one_of(self, "scaling", ("none", "linear", "llama3"))


@final
@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Attention of some kind, ``"multi_head"`` or one that a plugin registers.

    Args:
        width: hidden size.
        heads: number of query heads.
        kv_heads: number of key and value heads, a divisor of ``heads``; by default the same number.
        head_dim: size of a head; by default ``width / heads``.
        bias: whether queries, keys and values have biases.
        out_bias: whether the output product has a bias.
        scale: factor of q·k; by default ``head_dim ** -0.5``.
        window: number of positions back that a query sees, itself included; None for all.
        softcap: bound of the scores, or None.
        memory_width: hidden size of what cross-attention looks at; 0 for self-attention.
        qk_norm: normalisation of each head of queries and keys before RoPE (arXiv:2302.05442, §2),
            or None; for self-attention.
        options: settings of a plugin's kind.
    """

    kind: str = "multi_head"
    width: int
    heads: int
    kv_heads: int = 0
    head_dim: int = 0
    bias: bool = False
    out_bias: bool = False
    scale: float = 0.0
    window: int | None = None
    softcap: float | None = None
    memory_width: int = 0
    qk_norm: NormConfig | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frozen_options(self)
        positive(self, "width", "heads")
        if not self.head_dim:
            require(self, "width", f"a multiple of heads={self.heads}", ok=not self._remainder())
        self._default("kv_heads", self.heads)
        self._default("head_dim", self.width // self.heads)
        positive(self, "kv_heads", "head_dim")
        require(self, "memory_width", "0 or more", ok=self.memory_width >= 0)
        without = self.qk_norm is None or not self.memory_width
        require(self, "qk_norm", "None where there is a memory", ok=without)
        self._default("scale", self.head_dim**-0.5)
        divides = self.heads % self.kv_heads == 0
        require(self, "kv_heads", f"a divisor of heads={self.heads}", ok=divides)
        require(self, "window", "None or at least 1", ok=self.window is None or self.window > 0)

    def _remainder(self) -> int:
        return self.width % self.heads

    def _default(self, name: str, value: float) -> None:
        if not getattr(self, name):
            object.__setattr__(self, name, value)
