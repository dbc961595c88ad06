"""Attention whose past is one matrix a head, which each token decays and corrects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from lmkernel.config.check import positive, require
from lmkernel.config.norm import NormConfig

__all__ = ["DeltaConfig"]


@final
@dataclass(frozen=True, kw_only=True)
class DeltaConfig:
    """The gated delta rule (arXiv:2412.06464, §3.1), behind a short convolution.

    Args:
        key_heads: number of heads of queries and of keys; as many heads of values in a row share
            each.
        key_dim: size of a head of queries or keys.
        taps: number of positions that the convolution sees, the newest included.
        norm: normalisation of each head's output, before its gate.
        eps: what is added to the squared lengths that queries and keys are divided by the root of.
    """

    key_heads: int
    key_dim: int
    taps: int = 4
    norm: NormConfig = field(default_factory=NormConfig)
    eps: float = 1e-6

    def __post_init__(self) -> None:
        positive(self, "key_heads", "key_dim")
        require(self, "taps", "2 or more", ok=self.taps > 1)
        require(self, "eps", "above 0", ok=self.eps > 0)

    @property
    def keys(self) -> int:
        """Size of all heads of keys together."""
        return self.key_heads * self.key_dim
