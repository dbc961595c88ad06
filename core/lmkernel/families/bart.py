"""BART (arXiv:1910.13461) and its kin: encoder and decoder with biases and layer norms."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, final

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    HeadConfig,
    InitConfig,
    MlpConfig,
    ModelConfig,
    NormConfig,
    TransformerConfig,
)
from lmkernel.errors import CheckpointError
from lmkernel.families.config_keys import ConfigKeys, key_set
from lmkernel.families.family import ACTIVATIONS, Family, name_of_activation
from lmkernel.families.fixed_positions import position_tables
from lmkernel.families.names import Rule, layer_rules, with_optional_prefix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.families.family import HfConfig, MakeHead
    from lmkernel.families.sizes import Sizes

__all__ = ["BART_KEYS", "Bart", "BartFamily"]

BART_KEYS = ConfigKeys(
    read={
        "vocab_size": 50265,
        "d_model": 1024,
        "encoder_layers": 12,
        "encoder_ffn_dim": 4096,
        "encoder_attention_heads": 16,
        "decoder_layers": 12,
        "decoder_ffn_dim": 4096,
        "decoder_attention_heads": 16,
        "max_position_embeddings": 1024,
        "activation_function": "gelu",
        "dropout": 0.1,
        "init_std": 0.02,
        "scale_embedding": False,
        "tie_word_embeddings": True,
    },
    refused={"is_encoder_decoder": True, "is_decoder": False},
    inert=key_set(
        "encoder_layerdrop decoder_layerdrop activation_dropout classifier_dropout classif_dropout "
        "num_hidden_layers add_bias_logits add_final_layer_norm normalize_before "
        "normalize_embedding static_position_embeddings extra_pos_embeddings force_bos_token_to_be_"
        "generated"
    ),
    aliases={
        "num_attention_heads": "encoder_attention_heads",
        "hidden_size": "d_model",
        "num_hidden_layers": "encoder_layers",
    },
)
_ENCODER: Mapping[str, str] = MappingProxyType(
    {
        **{f"self_attn.{part}_proj": f"attention.{part}" for part in "qkv"},
        "self_attn.out_proj": "attention.o",
        "self_attn_layer_norm": "attention_norm",
        "fc1": "mlp.up",
        "fc2": "mlp.down",
        "final_layer_norm": "mlp_norm",
    }
)
_DECODER: Mapping[str, str] = MappingProxyType(
    {
        **_ENCODER,
        **{f"encoder_attn.{part}_proj": f"cross.{part}" for part in "qkv"},
        "encoder_attn.out_proj": "cross.o",
        "encoder_attn_layer_norm": "cross_norm",
    }
)


class BartFamily(Family):
    """What the families share.

    Attributes:
        before: whether norms stand before the sublayers, and one after the last.
        embedding_norm: whether the embedding ends in a norm.
        sinusoids: how positions lie that are sinusoids; ``""`` where they are learned.
        offset: number added to a position.
        bias: whether the head has a bias.
        key_bias: whether products of keys have biases.
    """

    model_type: ClassVar[str]
    architecture: ClassVar[str]
    keys: ClassVar[ConfigKeys]
    before: ClassVar[bool] = True
    embedding_norm: ClassVar[bool] = False
    sinusoids: ClassVar[str] = ""
    offset: ClassVar[int] = 0
    bias: ClassVar[bool] = True
    key_bias: ClassVar[bool] = True

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        width = config.whole("d_model")
        # sinusoids go on where a table would end, but for those that older files hold as a table
        context = config.whole("max_position_embeddings")
        scale = width**0.5 if config.flag("scale_embedding", default=False) else 1.0
        source = EmbeddingConfig(
            width=width,
            vocab=config.whole("vocab_size"),
            positions="sinusoidal" if self.sinusoids else "learned",
            sinusoids=self.sinusoids or "pairs",
            context=context,
            offset=self.offset,
            norm=NormConfig(kind="layer") if self.embedding_norm else None,
            scale=scale,
            dropout=config.rate("dropout", 0.1),
        )
        return self.between(config, source, self.target(config, source), context)

    def between(
        self, config: HfConfig, source: EmbeddingConfig, target: EmbeddingConfig, context: int
    ) -> ModelConfig:
        """The model between the embeddings of a source and of a target of ``context`` tokens."""
        return ModelConfig(
            embedding=source,
            encoder=self._stack(config, "encoder"),
            decoder=self._stack(config, "decoder"),
            target_embedding=target,
            head=HeadConfig(
                width=target.width,
                size=target.vocab,
                tied=config.flag("tie_word_embeddings", default=True),
                bias=self.bias,
            ),
            context=context,
            init=InitConfig(scale=config.number("init_std")),
        )

    def target(self, config: HfConfig, source: EmbeddingConfig) -> EmbeddingConfig:
        """The embedding of the target, whose token vectors are the source's."""
        del config
        return replace(source, shared=True)

    def _stack(self, config: HfConfig, side: str) -> TransformerConfig:
        width, causal = config.whole("d_model"), side == "decoder"
        attention = AttentionConfig(
            width=width,
            heads=config.whole(f"{side}_attention_heads"),
            bias=True,
            key_bias=self.key_bias,
            out_bias=True,
        )
        return TransformerConfig(
            width=width,
            layers=config.whole(f"{side}_layers"),
            attention=attention,
            mlp=MlpConfig(
                hidden=config.whole(f"{side}_ffn_dim"),
                activation=config.choice("activation_function", ACTIVATIONS, "gelu"),
                gated=False,
                bias=True,
            ),
            norm=NormConfig(kind="layer"),
            pre_norm=self.before,
            final_norm=self.before,
            causal=causal,
            cross=replace(attention, memory_width=width) if causal else None,
            dropout=config.rate("dropout", 0.1),
        )

    def write(self, config: ModelConfig) -> dict[str, Any]:
        encoder, decoder, head = config.encoder, config.decoder, config.head
        if not isinstance(encoder, TransformerConfig) or not isinstance(decoder, TransformerConfig):
            raise CheckpointError("expected an encoder and a decoder of transformer layers")
        if head is None:
            raise CheckpointError("expected a head")
        return {
            "architectures": [self.architecture],
            "model_type": self.model_type,
            "is_encoder_decoder": True,
            "vocab_size": config.embedding.vocab,
            "d_model": encoder.width,
            **{
                f"{side}_{key}": value
                for side, stack in (("encoder", encoder), ("decoder", decoder))
                for key, value in (
                    ("layers", stack.layers),
                    ("attention_heads", stack.attention.heads),
                    ("ffn_dim", stack.mlp.hidden),
                )
            },
            "max_position_embeddings": config.context,
            "activation_function": name_of_activation(encoder.mlp.activation),
            "dropout": encoder.dropout,
            "init_std": config.init.scale if config.init else 0.02,
            "scale_embedding": config.embedding.scale != 1,
            "tie_word_embeddings": head.tied,
        }

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        tokens = tuple(f"model.{side}.embed_tokens.weight" for side in ("encoder", "decoder"))
        shared = config.target_embedding is None or config.target_embedding.shared
        tables = [Rule("model.shared.weight", "embedding.tokens.weight", also=tokens)]
        if not shared:
            tables = [
                Rule(tokens[0], "embedding.tokens.weight"),
                Rule(tokens[1], "target_embedding.tokens.weight"),
            ]
        sides = (("encoder", "embedding", _ENCODER), ("decoder", "target_embedding", _DECODER))
        for stack, embedding, names in sides:
            table = f"model.{stack}.embed_positions.weight"
            # sinusoids are a buffer in some, which older files keep under a name of its own
            buffers = (f"{table}s",) if self.sinusoids else ()
            tables.append(Rule(table, f"{embedding}.positions.weight", also=buffers))
            for leaf in ("weight", "bias"):
                norms = {"layernorm_embedding": embedding, "layer_norm": stack}
                tables += [
                    Rule(f"model.{stack}.{theirs}.{leaf}", f"{ours}.norm.{leaf}")
                    for theirs, ours in norms.items()
                ]
            tables += layer_rules(f"model.{stack}.layers.{{i}}", names, stack)
        return (
            *with_optional_prefix("model.", tables),
            Rule("lm_head.weight", "head.weight"),
            Rule("final_logits_bias", "head.bias", row=True),
        )

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        # those that are computed are compared with what is computed, and not read
        return position_tables(self.rules(config)) if self.sinusoids else ()

    def heads(self) -> Mapping[str, MakeHead | None]:
        return {"sequences": None, "denoising": None}

    def new(self, sizes: Sizes) -> dict[str, Any]:
        return {
            "vocab_size": sizes.vocab,
            "d_model": sizes.width,
            **{
                f"{side}_{key}": value
                for side in ("encoder", "decoder")
                for key, value in (
                    ("layers", sizes.layers),
                    ("attention_heads", sizes.heads),
                    ("ffn_dim", sizes.inner),
                )
            },
            "max_position_embeddings": sizes.context,
            "dropout": sizes.dropout,
            "decoder_start_token_id": 0,
        }

    def special_tokens(self) -> dict[str, str]:
        return {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


@final
class Bart(BartFamily):
    """``model_type`` ``"bart"``: norms after the sublayers, and one of the embedding."""

    model_type = "bart"
    architecture = "BartForConditionalGeneration"
    before = False
    embedding_norm = True
    offset = 2
    keys = BART_KEYS.but(
        nullable=(
            *("encoder_layers", "encoder_ffn_dim", "encoder_attention_heads"),
            *("decoder_layers", "decoder_ffn_dim", "decoder_attention_heads"),
            *("activation_function", "d_model", "dropout", "init_std", "scale_embedding"),
        )
    )

    def special_tokens(self) -> dict[str, str]:
        return {**super().special_tokens(), "mask_token": "<mask>"}
