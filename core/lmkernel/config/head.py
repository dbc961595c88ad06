"""The head of a model: from the last hidden vectors to logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from lmkernel.config.check import one_of, positive, require
from lmkernel.config.layers import ACTIVATIONS

if TYPE_CHECKING:
    from lmkernel.config.layers import MlpConfig
    from lmkernel.config.norm import NormConfig

__all__ = ["AttentionPoolConfig", "HeadConfig", "HeadTransformConfig"]

_POOLINGS = ("none", "first", "last", "token", "highest", "mean", "first_and_mean", "attention")


@final
@dataclass(frozen=True, kw_only=True)
class AttentionPoolConfig:
    """One vector of a row: what a learned query attends to, and a network (arXiv:1810.00825, §3.2).

    Args:
        heads: number of heads, a divisor of the hidden size.
        mlp: the network, whose output is added to its input.
        norm: normalisation of the network's input.
    """

    heads: int
    mlp: MlpConfig
    norm: NormConfig

    def __post_init__(self) -> None:
        positive(self, "heads")


@final
@dataclass(frozen=True, kw_only=True)
class HeadTransformConfig:
    """A dense layer before the output's product: norm(act(W·x + b)).

    Args:
        activation: one of `ACTIVATIONS`.
        norm: normalisation at its end, or None.
        bias: whether the layer has a bias.
        width: size of its output; 0 for the hidden size.
    """

    activation: str
    norm: NormConfig | None = None
    bias: bool = True
    width: int = 0

    def __post_init__(self) -> None:
        one_of(self, "activation", ACTIVATIONS)
        require(self, "width", "0 or more", ok=self.width >= 0)


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
            first real position; ``"last"``: of its last; ``"token"``: of where ``token`` first
            stands, or its first position where it does not; ``"highest"``: of where the highest id
            first stands (CLIP's older files); ``"mean"``: of the mean of the real ones;
            ``"first_and_mean"``: of the first and the mean of the others side by side, for rows
            without padding; ``"attention"``: of what ``pool`` makes of them.
        pool: for ``"attention"``, else None.
        token: the id that is looked for, for ``"token"``, else None.
        skipped: for ``"last"``, the id of a token that is passed over, in whichever place, as the
            padding of classifiers is; a row of nothing else gives its first. None where none is.
        transform: a dense layer before the product, or None.
        product: whether there is a product; without it, the pooled vector is the output.
        dropout: rate of dropout before the product, in training.
        labels: names of the classes, one for each of ``size``; or none.
        task: what the outputs mean where their shape does not say: ``"tokens"``, classes of each
            position; ``"span"``, scores of each as the start and as the end of an answer;
            ``"choice"``, a score of the row among several; or ``""``.
        blank: the output that says nothing, where outputs say a text step by step
            (Graves et al. 2006); at padding it is certain. None where they do not.
    """

    width: int
    size: int
    tied: bool = False
    bias: bool = False
    activation: str = "none"
    scale: float = 1.0
    softcap: float | None = None
    pooling: str = "none"
    pool: AttentionPoolConfig | None = None
    token: int | None = None
    skipped: int | None = None
    transform: HeadTransformConfig | None = None
    product: bool = True
    dropout: float = 0.0
    labels: tuple[str, ...] = ()
    task: str = ""
    blank: int | None = None

    def __post_init__(self) -> None:
        positive(self, "width", "size")
        one_of(self, "activation", ACTIVATIONS)
        one_of(self, "pooling", _POOLINGS)
        one_of(self, "task", ("", "tokens", "span", "choice"))
        require(self, "dropout", "a rate in [0, 1)", ok=0 <= self.dropout < 1)
        pooled = (self.pool is not None) == (self.pooling == "attention")
        require(self, "pool", "an AttentionPoolConfig exactly for attention", ok=pooled)
        plain = not (self.tied or self.bias) and self.size == self.inner
        require(
            self, "product", "a product, or no bias and the size pooled", ok=self.product or plain
        )
        named = not self.labels or len(set(self.labels)) == self.size
        require(self, "labels", f"none, or {self.size} different names", ok=named)
        known = self.blank is None or (self.pooling == "none" and 0 <= self.blank < self.size)
        require(self, "blank", f"None, or one of {self.size} outputs of each position", ok=known)

        looked_for = (self.token is not None) == (self.pooling == "token")
        require(self, "token", "a token's id exactly for pooling by a token", ok=looked_for)
        require(self, "token", "a token's id", ok=self.token is None or self.token >= 0)
        ends = self.skipped is None or (self.pooling == "last" and self.skipped >= 0)
        require(self, "skipped", "None, or a token's id where the last is pooled", ok=ends)

    @property
    def by_token(self) -> bool:
        """Whether ids of tokens say which position of a row is pooled."""
        return self.pooling in ("token", "highest") or self.skipped is not None

    @property
    def inner(self) -> int:
        """Size of the vectors that the product reads."""
        pooled = self.width * (2 if self.pooling == "first_and_mean" else 1)
        return self.transform.width or pooled if self.transform else pooled
