"""Pictures that a decoder is shown among its tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast, final

from lmkernel.config.check import positive, require
from lmkernel.config.layers import TransformerConfig

if TYPE_CHECKING:
    from lmkernel.config.layers import FeedForwardConfig
    from lmkernel.config.model import ModelConfig

__all__ = ["SightConfig"]


@final
@dataclass(frozen=True, kw_only=True)
class SightConfig:
    """Pictures become vectors that stand in the places of tokens (arXiv:2304.08485, §4.1).

    Args:
        pictures: the tower that reads pictures, an encoder of patches without a head.
        connector: what makes its vectors as wide as those of tokens.
        token: the id in whose places they stand.
        depth: through how many of the tower's layers a picture goes, whose vectors are then taken
            as they are; None for all of them and the normalisation after them.
        skipped: how many of a picture's vectors are left out, from the first: 1 without the vector
            that stands before the patches.
        joined: side of the squares of neighbouring patches that become one vector, by their values
            one after the other (arXiv:2504.05299, §2.2); 1 where each patch is one.
    """

    pictures: ModelConfig
    connector: FeedForwardConfig
    token: int
    depth: int | None = None
    skipped: int = 0
    joined: int = 1

    def __post_init__(self) -> None:
        positive(self, "joined")
        require(self, "token", "an id of 0 or more", ok=self.token >= 0)
        patches, encoder = self.pictures.embedding.patches, self.pictures.encoder
        plain = self.pictures.head is None and self.pictures.decoder is None
        layers = encoder.layers if isinstance(encoder, TransformerConfig) else 0
        tower = patches is not None and not patches.resized and bool(layers) and plain
        require(self, "pictures", "a transformer of patches of one size, without a head", ok=tower)
        inside = self.depth is None or 1 <= self.depth <= layers
        require(self, "depth", f"a number of layers from 1 to {layers}", ok=inside)
        rows, columns = patches.grid if patches else (0, 0)
        whole = rows % self.joined == 0 and columns % self.joined == 0
        vectors = patches.count - self.skipped if patches else 0
        square = self.joined == 1 or vectors == rows * columns
        expected = f"a divisor of both sides of {rows} × {columns} patches"
        require(self, "joined", expected, ok=whole and square)
        require(
            self, "skipped", "fewer than there are vectors", ok=self.skipped >= 0 and vectors > 0
        )
        made = self.pictures.embedding.width * self.joined**2
        fits = self.connector.widths[0] == made
        require(self, "connector", f"an input of width {made}", ok=fits)

    @property
    def encoder(self) -> TransformerConfig:
        """The layers that a picture goes through."""
        whole = cast("TransformerConfig", self.pictures.encoder)  # as was asked when it was made
        return whole if self.depth is None else replace(whole, layers=self.depth, final_norm=False)

    @property
    def count(self) -> int:
        """Number of vectors, and of tokens, of one picture."""
        patches = self.pictures.embedding.patches
        return (patches.count - self.skipped) // self.joined**2 if patches else 0
