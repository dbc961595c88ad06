"""T5 and its kin (arXiv:1910.10683): encoder and decoder with biases by distance, and no others."""

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
    RelativeConfig,
    TransformerConfig,
)
from lmkernel.errors import CheckpointError
from lmkernel.families.config_keys import ConfigKeys, key_set
from lmkernel.families.family import Family, HfConfig
from lmkernel.families.languages import Languages
from lmkernel.families.names import Rule, layer_rules
from lmkernel.families.windows import stack_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.families.family import MakeHead
    from lmkernel.families.sizes import Sizes

__all__ = ["T5", "Mt5", "Umt5"]

_NETWORKS: Mapping[str, tuple[str, bool]] = MappingProxyType(
    {
        "relu": ("relu", False),
        "gated-gelu": ("gelu_tanh", True),
        "gelu": ("gelu", False),
        "gelu_new": ("gelu_tanh", False),
        "silu": ("silu", False),
        "gated-relu": ("relu", True),
        "gated-silu": ("silu", True),
        "gated-gelu_new": ("gelu_tanh", True),
    }
)
"""``feed_forward_proj``: the activation, and whether a gate multiplies; the first is written."""
_KEYS = ConfigKeys(
    read={
        "vocab_size": 32128,
        "d_model": 512,
        "d_kv": 64,
        "d_ff": 2048,
        "num_layers": 6,
        "num_decoder_layers": None,
        "num_heads": 8,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
        "dropout_rate": 0.1,
        "layer_norm_epsilon": 1e-6,
        "initializer_factor": 1.0,
        "feed_forward_proj": "relu",
        "dense_act_fn": None,
        "is_gated_act": None,
        "tie_word_embeddings": None,
        "scale_decoder_outputs": None,
    },
    refused={"is_encoder_decoder": True, "is_decoder": False},
    inert=key_set("classifier_dropout n_positions"),
    aliases={
        "hidden_size": "d_model",
        "num_attention_heads": "num_heads",
        "num_hidden_layers": "num_layers",
        "head_dim": "d_kv",
    },
)
_MULTILINGUAL = _KEYS.but(
    vocab_size=250112, d_ff=1024, num_layers=8, num_heads=6, feed_forward_proj="gated-gelu"
)
_BIAS = "layer.0.SelfAttention.relative_attention_bias.weight"


def _check_network(config: HfConfig) -> None:
    """What ``feed_forward_proj`` says may be said again; transformers goes by what is said again.

    Raises:
        CheckpointError: the two differ.
    """
    name = config.values.get("feed_forward_proj")
    gate, _, activation = str(name).rpartition("-")
    said = {
        # written so by the first of these models, whose activation is the approximation
        "dense_act_fn": "gelu_new" if name == "gated-gelu" else activation,
        "is_gated_act": gate == "gated",
    }
    for key, expected in said.items():
        got = config.values.get(key)
        if got is not None and got != expected:
            raise config.error(key, f"{expected!r}, as feed_forward_proj={name!r} says", got)


def _layer(network: int) -> dict[str, str]:
    """The names of a layer's parts, each with ours; its network is the part of that number."""
    dense = f"layer.{network}.DenseReluDense"
    return {
        **{f"layer.0.SelfAttention.{part}": f"attention.{part}" for part in "qkvo"},
        "layer.0.layer_norm": "attention_norm",
        f"{dense}.wi_0": "mlp.gate",
        f"{dense}.wi_1": "mlp.up",
        f"{dense}.wo": "mlp.down",
        f"layer.{network}.layer_norm": "mlp_norm",
    }


_ENCODER: Mapping[str, str] = MappingProxyType(_layer(1))
_DECODER: Mapping[str, str] = MappingProxyType(
    {
        **_layer(2),
        **{f"layer.1.EncDecAttention.{part}": f"cross.{part}" for part in "qkvo"},
        "layer.1.layer_norm": "cross_norm",
    }
)


class _T5Family(Family):
    """What the families share; ``own_tables`` says that each layer has biases of its own."""

    model_type: ClassVar[str]
    architecture: ClassVar[str]
    keys: ClassVar[ConfigKeys]
    own_tables: ClassVar[bool] = False
    scales: ClassVar[bool] = True

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        _check_network(config)
        width, vocab = config.whole("d_model"), config.whole("vocab_size")
        tied = config.flag("tie_word_embeddings", default=True)
        scaled = self.scales and config.flag("scale_decoder_outputs", default=tied)
        encoder = self._stack(config, "num_layers", causal=False)
        several = config.has("num_decoder_layers")
        decoder = self._stack(
            config, "num_decoder_layers" if several else "num_layers", causal=True
        )
        source = EmbeddingConfig(
            width=width, vocab=vocab, relative=encoder.attention.relative, dropout=encoder.dropout
        )
        return ModelConfig(
            embedding=source,
            encoder=encoder,
            decoder=decoder,
            target_embedding=replace(source, relative=decoder.attention.relative, shared=True),
            head=HeadConfig(
                width=width, size=vocab, tied=tied, scale=width**-0.5 if scaled else 1.0
            ),
            init=InitConfig(scale=0.05 * config.number("initializer_factor")),
        )

    def _stack(self, config: HfConfig, key: str, *, causal: bool) -> TransformerConfig:
        width, heads = config.whole("d_model"), config.whole("num_heads")
        activation, gated = config.choice("feed_forward_proj", _NETWORKS, "relu")
        layers = HfConfig(config.values, config.where, {"num_hidden_layers": key}).listed_layers()
        relative = RelativeConfig(
            heads=heads,
            buckets=config.whole("relative_attention_num_buckets"),
            distance=config.whole("relative_attention_max_distance"),
            tables=layers if self.own_tables else 1,
        )
        attention = AttentionConfig(
            width=width, heads=heads, head_dim=config.whole("d_kv"), scale=1.0, relative=relative
        )
        stack = TransformerConfig(
            width=width,
            layers=layers,
            attention=attention,
            mlp=MlpConfig(hidden=config.whole("d_ff"), activation=activation, gated=gated),
            norm=NormConfig(eps=config.number("layer_norm_epsilon")),
            causal=causal,
            cross=replace(attention, relative=None, memory_width=width) if causal else None,
            dropout=config.rate("dropout_rate", 0.1),
        )
        if relative.tables == 1:
            return stack
        return stack_of(stack, [{"relative": replace(relative, table=i)} for i in range(layers)])

    def write(self, config: ModelConfig) -> dict[str, Any]:
        encoder, decoder, head = config.encoder, config.decoder, config.head
        if not isinstance(encoder, TransformerConfig) or not isinstance(decoder, TransformerConfig):
            raise CheckpointError("expected an encoder and a decoder of transformer layers")
        attention, mlp = encoder.attention, encoder.mlp
        relative = attention.relative
        if head is None or not isinstance(relative, RelativeConfig):
            raise CheckpointError("expected a head, and biases by distance")
        networks = (name for name, made in _NETWORKS.items() if made == (mlp.activation, mlp.gated))
        scaling = {"scale_decoder_outputs": head.scale != 1} if self.scales else {}
        return {
            "architectures": [self.architecture],
            "model_type": self.model_type,
            "is_encoder_decoder": True,
            "vocab_size": head.size,
            "d_model": encoder.width,
            "d_kv": attention.head_dim,
            "d_ff": mlp.hidden,
            "num_layers": encoder.layers,
            "num_decoder_layers": decoder.layers,
            "num_heads": attention.heads,
            "relative_attention_num_buckets": relative.buckets,
            "relative_attention_max_distance": relative.distance,
            "dropout_rate": encoder.dropout,
            "layer_norm_epsilon": encoder.norm.eps,
            "initializer_factor": config.init.scale / 0.05 if config.init else 1.0,
            "feed_forward_proj": next(networks, mlp.activation),
            "tie_word_embeddings": head.tied,
            **scaling,
        }

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        gated = isinstance(config.encoder, TransformerConfig) and config.encoder.mlp.gated
        up = {} if gated else {"layer.{n}.DenseReluDense.wi": "mlp.up"}
        found = [
            Rule(
                "shared.weight",
                "embedding.tokens.weight",
                also=("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"),
            )
        ]
        sides = (
            ("encoder", "embedding", 1, _ENCODER),
            ("decoder", "target_embedding", 2, _DECODER),
        )
        for stack, embedding, network, names in sides:
            plain = {name.replace("{n}", str(network)): ours for name, ours in up.items()}
            own = {theirs: ours for theirs, ours in names.items() if gated or ours != "mlp.up"}
            found += layer_rules(f"{stack}.block.{{i}}", {**own, **plain}, stack)
            number, layer = ("{i}", "layers.{i}.") if self.own_tables else ("0", "")
            found.append(
                Rule(f"{stack}.block.{number}.{_BIAS}", f"{embedding}.relative.{layer}weight")
            )
            found.append(Rule(f"{stack}.final_layer_norm.weight", f"{stack}.norm.weight"))
        return (*found, Rule("lm_head.weight", "head.weight"))

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        del config
        # a table that T5 once had, and never looked at
        return ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",)

    def heads(self) -> Mapping[str, MakeHead | None]:
        return {"sequences": None, "denoising": None}

    def new(self, sizes: Sizes) -> dict[str, Any]:
        return {
            "vocab_size": sizes.vocab,
            "d_model": sizes.width,
            "d_kv": sizes.width // sizes.heads,
            "d_ff": sizes.inner,
            "num_layers": sizes.layers,
            "num_heads": sizes.heads,
            "dropout_rate": sizes.dropout,
            "decoder_start_token_id": 0,
            # as from version 1.1 on; T5's factor is for tables that were drawn twenty times as wide
            **({"scale_decoder_outputs": False} if self.scales else {}),
        }

    def special_tokens(self) -> dict[str, str]:
        return {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}

    def languages(self) -> Languages | None:
        return Languages(text="translate {source} to {target}: ")


@final
class T5(_T5Family):
    """``model_type`` ``"t5"``: T5, its version 1.1, and FLAN-T5."""

    model_type = "t5"
    architecture = "T5ForConditionalGeneration"
    keys = _KEYS


@final
class Mt5(_T5Family):
    """``model_type`` ``"mt5"``: what the head reads is never scaled."""

    model_type = "mt5"
    architecture = "MT5ForConditionalGeneration"
    keys = _MULTILINGUAL.but(tie_word_embeddings=True, inert=("scale_decoder_outputs",))
    scales = False


@final
class Umt5(_T5Family):
    """``model_type`` ``"umt5"``: each layer has a table of biases of its own."""

    model_type = "umt5"
    architecture = "UMT5ForConditionalGeneration"
    keys = _MULTILINGUAL
    own_tables = True
