"""The sizes of a new model, before a family turns them into a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

__all__ = ["Sizes"]


@final
@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The sizes of a new model.

    Args:
        width: hidden size.
        layers: number of layers.
        heads: number of attention heads.
        inner: intermediate size of the feed-forward network.
        context: largest number of positions.
        vocab: number of tokens.
        dropout: dropout probability, where the family has dropout.
    """

    width: int
    layers: int
    heads: int
    inner: int
    context: int
    vocab: int
    dropout: float = 0.0
