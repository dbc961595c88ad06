"""BART's kin: mBART, PEGASUS, M2M-100 with NLLB, and Marian (arXiv:1804.00344)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.families.bart import BART_KEYS, BartFamily
from lmkernel.families.languages import Languages

if TYPE_CHECKING:
    from lmkernel.config import EmbeddingConfig, ModelConfig
    from lmkernel.families.family import HfConfig
    from lmkernel.families.sizes import Sizes

__all__ = ["M2m100", "MBart", "Marian", "Pegasus"]


@final
class MBart(BartFamily):
    """``model_type`` ``"mbart"`` (arXiv:2001.08210): BART with norms before the sublayers."""

    model_type = "mbart"
    architecture = "MBartForConditionalGeneration"
    embedding_norm = True
    offset = 2
    keys = BART_KEYS

    def languages(self) -> Languages | None:
        return Languages(source="before", target="forced")

    def special_tokens(self) -> dict[str, str]:
        return {**super().special_tokens(), "mask_token": "<mask>"}


@final
class Pegasus(BartFamily):
    """``model_type`` ``"pegasus"`` (arXiv:1912.08777): sinusoids for positions."""

    model_type = "pegasus"
    architecture = "PegasusForConditionalGeneration"
    sinusoids = "halves"
    keys = BART_KEYS


@final
class M2m100(BartFamily):
    """``model_type`` ``"m2m_100"`` (arXiv:2010.11125): M2M-100 and NLLB."""

    model_type = "m2m_100"
    architecture = "M2M100ForConditionalGeneration"
    sinusoids = "halves_to_last"
    bias = False
    keys = BART_KEYS.but(
        vocab_size=128112,
        activation_function="relu",
        scale_embedding=True,
        pad_token_id=1,
        nullable=("pad_token_id",),
    )

    def read(self, config: HfConfig) -> ModelConfig:
        model = super().read(config)
        # positions are counted from after the id of padding, and without tokens of that id
        padding = self.keys.complete(config).whole("pad_token_id", 1, least=0)
        source = replace(model.embedding, offset=padding + 1, uncounted=padding)
        return replace(model, embedding=source, target_embedding=replace(source, shared=True))

    def write(self, config: ModelConfig) -> dict[str, Any]:
        return {**super().write(config), "pad_token_id": config.embedding.offset - 1}

    def new(self, sizes: Sizes) -> dict[str, Any]:
        return {**super().new(sizes), "pad_token_id": 0}

    def languages(self) -> Languages | None:
        return Languages(marks=("{}", "__{}__"), source="before", target="forced")


@final
class Marian(BartFamily):
    """``model_type`` ``"marian"``: norms after the sublayers; targets may have their own tokens."""

    model_type = "marian"
    architecture = "MarianMTModel"
    before = False
    sinusoids = "halves"
    keys = BART_KEYS.but(
        vocab_size=58101, decoder_vocab_size=None, share_encoder_decoder_embeddings=True
    )

    def target(self, config: HfConfig, source: EmbeddingConfig) -> EmbeddingConfig:
        if config.flag("share_encoder_decoder_embeddings", default=True):
            return replace(source, shared=True)
        return replace(source, vocab=config.whole("decoder_vocab_size", source.vocab))

    def write(self, config: ModelConfig) -> dict[str, Any]:
        target = config.target_embedding or config.embedding
        return {
            **super().write(config),
            "decoder_vocab_size": target.vocab,
            "share_encoder_decoder_embeddings": target.shared,
        }

    def languages(self) -> Languages | None:
        return Languages(marks=(">>{}<<",), target="before")
