"""What describes a new model, before a family says it in its own words."""

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
        layers: layers of its stack.
        heads: attention heads.
        inner: inner width of the feed-forward part.
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
