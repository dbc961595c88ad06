"""RoPE, the rotary position embedding, and the ways of stretching it to longer contexts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from lmkernel.config.check import one_of, positive, require

__all__ = ["RotaryConfig"]

_WIDEST = 1 << 16
_SCALINGS = ("none", "linear", "llama3", "yarn", "dynamic", "longrope")


@final
@dataclass(frozen=True, kw_only=True)
class RotaryConfig:
    """RoPE, the rotary position embedding (arXiv:2104.09864).

    The ways of stretching it, by ``scaling``:

    - ``"none"``;
    - ``"linear"``: every frequency is divided by ``factor`` (arXiv:2306.15595);
    - ``"llama3"``: long wavelengths are stretched by ``factor``, short ones kept, with a ramp
      between that is linear in the turns within ``original_context`` (Llama 3.1);
    - ``"yarn"``: the same, with a ramp that is linear in the index of the frequency, between
      ``beta_slow`` and ``beta_fast`` turns (arXiv:2309.00071, §3.2);
    - ``"dynamic"``: beyond ``original_context``, theta grows with the length of the row;
    - ``"longrope"``: each frequency is divided by a factor of its own, of ``short_factors`` in rows
      up to ``original_context`` and of ``long_factors`` in longer ones (arXiv:2402.13753).

    Args:
        dim: number of elements of a head that are rotated; even.
        theta: base of the wavelengths.
        scaling: how frequencies are stretched, as above.
        factor: divisor of frequencies, as ``scaling`` says.
        low_freq_factor: turns within ``original_context`` up to which ``"llama3"`` scales fully.
        high_freq_factor: turns from which ``"llama3"`` scales nothing.
        original_context: the context that the model was trained with, before it was stretched.
        beta_fast: turns from which ``"yarn"`` scales nothing.
        beta_slow: turns up to which ``"yarn"`` scales fully.
        truncate: whether the ends of YaRN's ramp are rounded outwards to whole indices.
        attention_factor: factor of cosines and sines, and so twice of the scores.
        short_factors: ``dim / 2`` divisors, for ``"longrope"``.
        long_factors: the same, for rows longer than ``original_context``.
        still: number of frequencies, the last ones, that are zero: what they would turn stays
            (proportional RoPE, Gemma 4).
    """

    dim: int
    theta: float = 10000.0
    scaling: str = "none"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 8192
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    truncate: bool = True
    attention_factor: float = 1.0
    short_factors: tuple[float, ...] = ()
    long_factors: tuple[float, ...] = ()
    still: int = 0

    def __post_init__(self) -> None:
        positive(self, "dim", "original_context")
        require(self, "dim", "an even number", ok=self.dim % 2 == 0)
        # its tables are made before any tensor could contradict it
        require(self, "dim", f"at most {_WIDEST}", ok=self.dim <= _WIDEST)
        one_of(self, "scaling", _SCALINGS)
        for name in ("theta", "attention_factor", "beta_slow", "beta_fast"):
            require(self, name, "a positive number", ok=getattr(self, name) > 0)
        require(self, "factor", "a number of at least 1", ok=self.factor >= 1)
        half = self.dim // 2
        wanted = half if self.scaling == "longrope" else 0
        for name in ("short_factors", "long_factors"):
            factors = getattr(self, name)
            fits = len(factors) == wanted and all(factor > 0 for factor in factors)
            require(self, name, f"{wanted} positive numbers", ok=fits)
        require(self, "still", f"0 to {half}", ok=0 <= self.still <= half)

    @property
    def depends_on_length(self) -> bool:
        """Whether the same position turns differently in a longer row."""
        return self.scaling in ("dynamic", "longrope")
