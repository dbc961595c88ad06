"""Whisper (arXiv:2212.04356): BART's layers, norms before the sublayers, over a sound's frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.config import EmbeddingConfig, ModelConfig
from lmkernel.families.bart import BartFamily
from lmkernel.families.config_keys import ConfigKeys, key_set
from lmkernel.families.family import Family
from lmkernel.families.names import Rule, with_optional_prefix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.families.family import HfConfig, MakeHead

__all__ = ["Whisper"]

_HEAD = "head.weight"


@final
class Whisper(BartFamily):
    """``model_type`` ``"whisper"``: multilingual and English, of 80 and 128 bands, distilled ones.

    Its encoder takes frames of features, see `lmkernel.speech.features`. transformers never applies
    ``scale_embedding``, so nothing does here.
    """

    model_type = "whisper"
    architecture = "WhisperForConditionalGeneration"
    key_bias = False
    bias = False
    keys = ConfigKeys(
        read={
            "vocab_size": 51865,
            "num_mel_bins": 80,
            "d_model": 384,
            "encoder_layers": 4,
            "encoder_ffn_dim": 1536,
            "encoder_attention_heads": 6,
            "decoder_layers": 4,
            "decoder_ffn_dim": 1536,
            "decoder_attention_heads": 6,
            "max_source_positions": 1500,
            "max_target_positions": 448,
            "activation_function": "gelu",
            "dropout": 0.0,
            "init_std": 0.02,
            "tie_word_embeddings": True,
        },
        refused={"is_encoder_decoder": True},
        inert=key_set(
            "encoder_layerdrop decoder_layerdrop activation_dropout scale_embedding "
            "num_hidden_layers use_weighted_layer_sum classifier_proj_size apply_spec_augment "
            "mask_time_prob mask_time_length mask_time_min_masks mask_feature_prob "
            "mask_feature_length mask_feature_min_masks median_filter_width forced_decoder_ids "
            "max_position_embeddings"
        ),
        aliases={
            "num_attention_heads": "encoder_attention_heads",
            "num_key_value_heads": "encoder_attention_heads",
            "hidden_size": "d_model",
            "num_hidden_layers": "encoder_layers",
        },
    )

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        width, context = config.whole("d_model"), config.whole("max_target_positions")
        dropout = config.rate("dropout", 0.0)
        target = EmbeddingConfig(
            width=width,
            vocab=config.whole("vocab_size"),
            positions="learned",
            context=context,
            dropout=dropout,
        )
        source = EmbeddingConfig(
            kind="frames",
            width=width,
            positions="learned",
            context=config.whole("max_source_positions"),
            dropout=dropout,
            options={"bins": config.whole("num_mel_bins")},
        )
        return self.between(config, source, target, context)

    def write(self, config: ModelConfig) -> dict[str, Any]:
        written = super().write(config)
        del written["max_position_embeddings"], written["scale_embedding"]
        target = config.target_embedding or config.embedding
        return {
            **written,
            "vocab_size": target.vocab,
            "num_mel_bins": config.embedding.options.get("bins"),
            "max_source_positions": config.embedding.context,
            "max_target_positions": config.context,
        }

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        convolutions = (
            Rule(f"model.encoder.conv{number}.{leaf}", f"embedding.{ours}.{leaf}")
            for number, ours in ((1, "first"), (2, "second"))
            for leaf in ("weight", "bias")
        )
        return (
            *with_optional_prefix("model.", convolutions),
            *(rule for rule in super().rules(config) if rule.ours != _HEAD),
            Rule("proj_out.weight", _HEAD),
        )

    def heads(self) -> Mapping[str, MakeHead | None]:
        return {}

    # sizes alone say nothing of frames
    new = Family.new
