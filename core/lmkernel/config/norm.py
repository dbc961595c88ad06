"""Normalisations, of whole vectors or of each head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from lmkernel.config.check import one_of, require

__all__ = ["NormConfig"]


@final
@dataclass(frozen=True, kw_only=True)
class NormConfig:
    """A normalisation over the last axis.

    Args:
        kind: ``"rms"`` or ``"layer"``.
        eps: term added to the mean square or variance, inside the root.
        bias: whether a layer normalisation has a bias.
        offset: term added to the weight; 1 where a family stores w - 1 (Gemma).
    """

    kind: str = "rms"
    eps: float = 1e-5
    bias: bool = True
    offset: float = 0.0

    def __post_init__(self) -> None:
        one_of(self, "kind", ("rms", "layer"))
        require(self, "eps", "a positive number", ok=self.eps > 0)
