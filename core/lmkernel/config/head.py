"""The head of a model: from the last hidden vectors to logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from lmkernel.config.check import one_of, positive, require
from lmkernel.config.layers import ACTIVATIONS

if TYPE_CHECKING:
    from lmkernel.config.norm import NormConfig

__all__ = ["HeadConfig", "HeadTransformConfig"]


@final
@dataclass(frozen=True, kw_only=True)
class HeadTransformConfig:
    """A dense layer before the output's product: norm(act(W·x + b)), of one width.

    Args:
        activation: one of `ACTIVATIONS`.
        norm: normalisation at its end, or None.
        bias: whether the layer has a bias.
    """

    activation: str
    norm: NormConfig | None = None
    bias: bool = True

    def __post_init__(self) -> None:
        one_of(self, "activation", ACTIVATIONS)


@final
@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """The output: a product with ``(size, width)``, for each position or once for each row.

    Args:
        width: hidden size.
        size: number of outputs: of tokens in the vocabulary, or of classes.
        tied: whether the weight is the embedding's.
        bias: whether the product has a bias.
        activation: one of `ACTIVATIONS`, after the product; ``"none"`` gives logits.
        scale: factor of the product, before the bound.
        softcap: bound of the logits, or None.
        pooling: ``"none"``: each position has an output; ``"first"``: a row has one, made of its
            first real position; ``"last"``: of its last.
        transform: a dense layer before the product, or None.
        dropout: rate of dropout before the product, in training.
        labels: names of the classes, one for each of ``size``; or none.
    """

    width: int
    size: int
    tied: bool = False
    bias: bool = False
    activation: str = "none"
    scale: float = 1.0
    softcap: float | None = None
    pooling: str = "none"
    transform: HeadTransformConfig | None = None
    dropout: float = 0.0
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        positive(self, "width", "size")
        one_of(self, "activation", ACTIVATIONS)
        one_of(self, "pooling", ("none", "first", "last"))
        require(self, "dropout", "a rate in [0, 1)", ok=0 <= self.dropout < 1)
        named = not self.labels or len(set(self.labels)) == self.size
        require(self, "labels", f"none, or {self.size} different names", ok=named)
