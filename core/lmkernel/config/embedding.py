"""The embedding: what turns inputs into vectors, and what tells positions apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from lmkernel.config.check import frozen_options, one_of, positive, require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.config.attention import DisentangledConfig, RelativeConfig
    from lmkernel.config.norm import NormConfig
    from lmkernel.config.rotary import RotaryConfig
    from lmkernel.config.waves import WaveConfig

__all__ = ["EmbeddingConfig", "PatchConfig"]


@final
@dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """How a picture becomes vectors: a product of each patch's pixels (arXiv:2010.11929, §3.1).

    Args:
        height, width: pixels of the pictures that positions were learnt for.
        patch_height, patch_width: pixels of a patch; what remains of a picture is left out.
        channels: 3 for red, green and blue.
        bias: whether the product has a bias.
        token: whether a learned vector stands before those of the patches.
        resized: whether pictures of other sizes are taken, with positions interpolated for them.
    """

    height: int
    width: int
    patch_height: int
    patch_width: int
    channels: int = 3
    bias: bool = True
    token: bool = True
    resized: bool = False

    def __post_init__(self) -> None:
        positive(self, "height", "width", "patch_height", "patch_width", "channels")
        require(self, "height", "a patch at least", ok=self.height >= self.patch_height)
        require(self, "width", "a patch at least", ok=self.width >= self.patch_width)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.height // self.patch_height, self.width // self.patch_width

    @property
    def count(self) -> int:
        """Number of vectors."""
        rows, columns = self.grid
        return rows * columns + self.token

    @property
    def values(self) -> int:
        """Number of values in a patch."""
        return self.channels * self.patch_height * self.patch_width


@final
@dataclass(frozen=True, kw_only=True)
class EmbeddingConfig:
    """An embedding of a kind: ``"token"``, ``"vectors"``, or one that follows, or a plugin's.

    Others are ``"patches"`` of pictures, ``"frames"`` and ``"waves"`` of sounds.

    Args:
        width: hidden size.
        vocab: number of tokens; 0 where the inputs are no tokens.
        positions: ``"none"``, ``"learned"``, ``"sinusoidal"`` or ``"rotary"``.
        context: number of positions; 0 means no limit (not for ``"learned"``).
        offset: number added to a learned or sinusoidal position before it is looked up.
        uncounted: the id of a token that takes no position, in whichever place (RoBERTa's padding):
            those after it count on without it, and it has the learned row before the first one's,
            or no sinusoids; None where every token is counted.
        sinusoids: how sinusoidal positions lie in a vector: ``"pairs"``, each sine beside its
            cosine; ``"halves"``, all sines first; ``"halves_to_last"``, the same with rates that
            reach 1/10000 (M2M-100).
        shared: whether its token vectors are the source's, for the target of an encoder-decoder.
        rotary: RoPE's settings, for ``"rotary"``.
        more_rotary: settings of further RoPEs, for layers that turn by them (Gemma 3).
        relative: the distances whose table it holds for attention, or None.
        segments: number of segments, or 0.
        norm: normalisation of the sum, or None.
        inner: size of the vectors in its tables, whose normalised sum a product makes as wide as
            hidden ones (arXiv:1909.11942, §3.1); 0 where they are as wide, without a product.
        scale: factor of the token vectors, applied in float32 whatever the dtype.
        patches: of pictures, for ``"patches"``; else None.
        waves: of a sound's samples, for ``"waves"``; else None.
        lookup: ``"gather"``, or ``"one_hot"`` for a product with one-hot vectors.
        dropout: rate of dropout after the sum, in training.
        options: settings of a plugin's kind; ``bins`` of ``"frames"``.
    """

    kind: str = "token"
    width: int
    vocab: int = 0
    positions: str = "none"
    context: int = 0
    offset: int = 0
    uncounted: int | None = None
    sinusoids: str = "pairs"
    shared: bool = False
    rotary: RotaryConfig | None = None
    more_rotary: tuple[RotaryConfig, ...] = ()
    relative: RelativeConfig | DisentangledConfig | None = None
    segments: int = 0
    norm: NormConfig | None = None
    inner: int = 0
    scale: float = 1.0
    patches: PatchConfig | None = None
    waves: WaveConfig | None = None
    lookup: str = "gather"
    dropout: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frozen_options(self)
        positive(self, "width")
        if self.kind == "token":
            positive(self, "vocab")
        one_of(self, "positions", ("none", "learned", "sinusoidal", "rotary"))
        one_of(self, "sinusoids", ("pairs", "halves", "halves_to_last"))
        one_of(self, "lookup", ("gather", "one_hot"))
        pictures = (self.patches is not None) == (self.kind == "patches")
        require(self, "patches", "a PatchConfig exactly for its kind", ok=pictures)
        self._check_waves()
        if self.positions == "learned":
            positive(self, "context")
        if self.positions == "sinusoidal":
            require(self, "width", "an even number", ok=self.width % 2 == 0)
        if self.uncounted is not None:
            require(self, "uncounted", "a token's id", ok=0 <= self.uncounted < self.vocab)
            looked_up = self.positions in ("learned", "sinusoidal") and self.offset > 0
            require(self, "uncounted", "None without positions after an offset", ok=looked_up)
        with_rotary = (self.rotary is not None) == (self.positions == "rotary")
        require(self, "rotary", "a RotaryConfig exactly for rotary positions", ok=with_rotary)
        extra = self.rotary is not None or not self.more_rotary
        require(self, "more_rotary", "none without rotary", ok=extra)
        require(self, "inner", "0 or more", ok=self.inner >= 0)
        require(self, "dropout", "a rate in [0, 1)", ok=0 <= self.dropout < 1)

    def _check_waves(self) -> None:
        sounds = (self.waves is not None) == (self.kind == "waves")
        require(self, "waves", "a WaveConfig exactly for its kind", ok=sounds)
        if self.waves is not None:
            groups = self.waves.position_groups
            require(self, "width", f"a multiple of {groups} groups", ok=self.width % groups == 0)

    @property
    def table_width(self) -> int:
        """Size of the vectors in its tables."""
        return self.inner or self.width

    @property
    def rotaries(self) -> tuple[RotaryConfig, ...]:
        """All RoPEs, in the order in which attention names them."""
        return () if self.rotary is None else (self.rotary, *self.more_rotary)
