"""How a sound's samples become vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from lmkernel.config.check import one_of, positive, require
from lmkernel.config.layers import ACTIVATIONS

if TYPE_CHECKING:
    from lmkernel.config.norm import NormConfig

__all__ = ["WaveConfig"]


@final
@dataclass(frozen=True, kw_only=True)
class WaveConfig:
    """Convolutions over samples, a product, and a convolution that tells positions apart.

    Source: arXiv:2006.11477, §2 and appendix A.

    Args:
        widths: size of the vectors of each convolution.
        kernels: how many steps each of them sees.
        strides: how many steps each of them goes on by.
        bias: whether they have biases.
        norm: ``"layer"``: each vector of each convolution is normalised; ``"group"``: each element
            of the first one's is, over time, so that padding takes part.
        activation: one of `ACTIVATIONS`, of all convolutions.
        projected_norm: normalisation before the product, or None.
        position_kernel: how many vectors a position is told by.
        position_groups: how many shares of a vector it is told by apart, a divisor of the width.
        dropout: rate of dropout after the product, in training.
    """

    widths: tuple[int, ...]
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    bias: bool = False
    norm: str = "layer"
    activation: str = "gelu"
    projected_norm: NormConfig | None = None
    position_kernel: int = 128
    position_groups: int = 16
    dropout: float = 0.0

    def __post_init__(self) -> None:
        one_of(self, "norm", ("layer", "group"))
        one_of(self, "activation", ACTIVATIONS)
        positive(self, "position_kernel", "position_groups")
        for name in ("widths", "kernels", "strides"):
            sizes = getattr(self, name)
            fits = len(sizes) == len(self.widths) > 0 and all(size > 0 for size in sizes)
            require(self, name, "positive integers, one for each convolution", ok=fits)
        require(self, "dropout", "a rate in [0, 1)", ok=0 <= self.dropout < 1)

    @property
    def stride(self) -> int:
        """Samples from one vector to the next."""
        return math.prod(self.strides)

    @property
    def seen(self) -> int:
        """Samples that a vector sees before positions are told, which is the shortest sound."""
        size = 1
        for kernel, stride in zip(reversed(self.kernels), reversed(self.strides), strict=True):
            size = (size - 1) * stride + kernel
        return size

    def count(self, samples: int) -> int:
        """Number of vectors of a sound."""
        return max((samples - self.seen) // self.stride + 1, 0)
