"""The whole model: input → embedding → encoder → decoder → output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from lmkernel.config.check import one_of, require
from lmkernel.config.layers import FeedForwardConfig, RecurrentConfig
from lmkernel.contract.capabilities import FLOATING
from lmkernel.errors import ConfigError

if TYPE_CHECKING:
    from lmkernel.config.embedding import EmbeddingConfig
    from lmkernel.config.head import HeadConfig
    from lmkernel.config.layers import StackConfig
    from lmkernel.config.sight import SightConfig
    from lmkernel.contract.capabilities import DType

__all__ = ["InitConfig", "ModelConfig", "PairConfig", "PrecisionPolicy"]


@final
@dataclass(frozen=True, kw_only=True)
class PrecisionPolicy:
    """The dtypes that a model works in; sums over 16-bit floats always accumulate in float32.

    Args:
        params: dtype of the parameters.
        compute: dtype of activations and packed weights.
        output: dtype of the logits.
    """

    params: DType = "float32"
    compute: DType = "float32"
    output: DType = "float32"

    def __post_init__(self) -> None:
        for field in ("params", "compute", "output"):
            one_of(self, field, FLOATING)


@final
@dataclass(frozen=True, kw_only=True)
class InitConfig:
    """How a family initializes its weights: normal, in place of each component's own way.

    Args:
        scale: standard deviation.
        residual: whether the weights that write into the residual stream are divided by
            √(2·layers), since each layer adds to it twice (GPT-2, section 2.3).
    """

    scale: float = 0.02
    residual: bool = False

    def __post_init__(self) -> None:
        require(self, "scale", "a positive number", ok=self.scale > 0)


@final
@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A model as the composition of its parts; any but the embedding may be missing.

    Args:
        embedding: embedding of the source.
        encoder: stack that reads the source, or None.
        decoder: stack that writes the target, or without an encoder continues the source; or None.
        target_embedding: embedding of the target of an encoder-decoder; by default the source's.
        head: from hidden vectors to logits; None gives the hidden vectors themselves.
        context: largest number of positions; 0 for no limit.
        pair: the tower of pictures whose vectors are compared with the model's own, of texts;
            or None.
        sight: the pictures that a decoder is shown among its tokens; or None.
        init: initialization of the weights, or None for each component's own.
    """

    embedding: EmbeddingConfig
    encoder: StackConfig | None = None
    decoder: StackConfig | None = None
    target_embedding: EmbeddingConfig | None = None
    head: HeadConfig | None = None
    context: int = 0
    pair: PairConfig | None = None
    sight: SightConfig | None = None
    init: InitConfig | None = None

    def __post_init__(self) -> None:
        require(self, "context", "0 or more", ok=self.context >= 0)
        width = self.embedding.width
        if self.encoder is not None:
            self._require_width("encoder", _input_width(self.encoder), width)
            width = _output_width(self.encoder)
        if self.decoder is not None:
            width = self._decoder_width(self.decoder, width)
        if self.pair is not None:
            sizes = [tower.head and tower.head.size for tower in (self, self.pair.pictures)]
            alike = sizes[0] is not None and sizes[0] == sizes[1]
            require(self, "pair", f"two heads of one size, got {sizes}", ok=alike)
        if self.sight is not None:
            self._check_sight(self.sight)
        if self.head is not None:
            self._require_width("head", self.head.width, width)
            tied_to = self.target_embedding or self.embedding
            vocab = tied_to.vocab or self.head.size
            fits = not self.head.tied or (vocab, tied_to.table_width) == (
                self.head.size,
                self.head.inner,
            )
            require(self, "head", f"a tied head of ({vocab}, {tied_to.table_width})", ok=fits)
            told = not self.head.by_token or tied_to.kind == "token"
            require(self, "head", "one that asks for no ids of tokens, as there are none", ok=told)

    @property
    def vocab(self) -> int:
        """Number of tokens that it writes or else reads; 0 for none."""
        target = self.target_embedding or self.embedding
        spells = self.head is not None and self.head.blank is not None
        return self.head.size if spells and self.head is not None else target.vocab

    def _check_sight(self, sight: SightConfig) -> None:
        tokens = self.embedding
        alone = self.decoder is not None and self.encoder is None and self.pair is None
        require(self, "sight", "a decoder alone beside it", ok=alone)
        # a vector takes a token's place as it is, so nothing else may be added to that place; and
        # what is fed again from the start would need its pictures again
        added = tokens.positions in ("learned", "sinusoidal") or tokens.norm or tokens.segments
        plain = tokens.kind == "token" and not added and not tokens.inner
        again = any(rotary.depends_on_length for rotary in tokens.rotaries)
        require(self, "sight", "an embedding that is rows of a table", ok=plain and not again)
        known = sight.token < tokens.vocab and sight.connector.widths[-1] == tokens.width
        expected = f"a token below {tokens.vocab}, and vectors of width {tokens.width}"
        require(self, "sight", expected, ok=known)

    def _decoder_width(self, decoder: StackConfig, memory: int) -> int:
        if isinstance(decoder, FeedForwardConfig) or self.encoder is None:
            self._require_width("decoder", _input_width(decoder), memory)
        else:
            self._require_width("decoder", _input_width(decoder), self._target_width())
        if isinstance(decoder, RecurrentConfig) and decoder.bidirectional:
            raise ConfigError("ModelConfig.decoder: expected one direction, got bidirectional=True")
        return _output_width(decoder)

    def _target_width(self) -> int:
        return (self.target_embedding or self.embedding).width

    def _require_width(self, field: str, got: int, width: int) -> None:
        if got != width:
            raise ConfigError(f"ModelConfig.{field}: expected an input of width {width}, got {got}")


@final
@dataclass(frozen=True, kw_only=True)
class PairConfig:
    """Pictures beside texts: two towers, whose vectors are compared (arXiv:2103.00020, §2.3).

    Args:
        pictures: the tower of pictures.
        scale: what the learned logarithm of the cosines' factor begins with.
        bias: whether a learned number is added to each, so that a sigmoid makes a probability of it
            (arXiv:2303.15343, §3.2), and not a softmax over all texts.
        padded: whether texts are padded to the context, and padding is read like any token.
    """

    pictures: ModelConfig
    scale: float = 0.0
    bias: bool = False
    padded: bool = False


def _input_width(stack: StackConfig) -> int:
    if isinstance(stack, FeedForwardConfig):
        return stack.widths[0]
    return stack.input_width if isinstance(stack, RecurrentConfig) else stack.width


def _output_width(stack: StackConfig) -> int:
    if isinstance(stack, FeedForwardConfig):
        return stack.widths[-1]
    both = isinstance(stack, RecurrentConfig) and stack.bidirectional
    return stack.width * 2 if both else stack.width
