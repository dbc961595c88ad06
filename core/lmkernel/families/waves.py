"""What models of samples in the shape of wav2vec 2.0 share: configuration, names, and the head.

Their texts come step by step, by CTC. What hides spans in training (SpecAugment), layers that are
dropped and dropout inside of layers are passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    HeadConfig,
    InitConfig,
    MlpConfig,
    ModelConfig,
    TransformerConfig,
    WaveConfig,
)
from lmkernel.errors import CheckpointError
from lmkernel.families.config_keys import ConfigKeys, key_set
from lmkernel.families.encoder_heads import leaf_rules, norm_of, norm_rules
from lmkernel.families.family import ACTIVATIONS, Family, HfConfig, name_of_activation
from lmkernel.families.names import Rule, layer_rules, with_optional_prefix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.families.family import MakeHead

__all__ = ["WAVE_KEYS", "WaveFamily"]

WAVE_KEYS = ConfigKeys(
    read={
        "architectures": None,
        "vocab_size": 32,
        "pad_token_id": 0,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "hidden_dropout": 0.1,
        "feat_proj_dropout": 0.0,
        "final_dropout": 0.1,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-5,
        "feat_extract_norm": "group",
        "feat_extract_activation": "gelu",
        "conv_dim": (512,) * 7,
        "conv_stride": (5, 2, 2, 2, 2, 2, 2),
        "conv_kernel": (10, 3, 3, 3, 3, 2, 2),
        "conv_bias": False,
        "num_conv_pos_embeddings": 128,
        "num_conv_pos_embedding_groups": 16,
        "do_stable_layer_norm": False,
    },
    nullable=frozenset({"pad_token_id"}),
    inert=key_set(
        # training, of which a row that is too short for its text is refused
        "activation_dropout layerdrop apply_spec_augment mask_time_prob mask_time_length "
        "mask_time_min_masks mask_feature_prob mask_feature_length mask_feature_min_masks "
        "ctc_loss_reduction ctc_zero_infinity "
        # how many convolutions there are, which their sizes say, and other heads
        "num_feat_extract_layers use_weighted_layer_sum classifier_proj_size is_causal"
    ),
)
"""The keys that they have in common."""
_NAMES = {
    "attention.q_proj": "attention.q",
    "attention.k_proj": "attention.k",
    "attention.v_proj": "attention.v",
    "attention.out_proj": "attention.o",
    "layer_norm": "attention_norm",
    "feed_forward.intermediate_dense": "mlp.up",
    "feed_forward.output_dense": "mlp.down",
    "final_layer_norm": "mlp_norm",
}
_POSITIONS = "encoder.pos_conv_embed.conv."
_NORMS = {"group": "group", "layer": "layer"}


class WaveFamily(Family):
    """A model of samples, with the head that says letters or without one.

    Attributes:
        model_type: the name that it is registered under.
        prefix: of the names of the bare model, beside a head.
        told, bare: transformers' classes of the model with its head, and of those without.
        unused: patterns of further tensors that mean nothing here.
    """

    model_type: ClassVar[str]
    prefix: ClassVar[str]
    told: ClassVar[str]
    bare: ClassVar[tuple[str, ...]]
    unused: ClassVar[tuple[str, ...]] = ("*masked_spec_embed",)
    keys: ClassVar[ConfigKeys]

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        width, norm = config.whole("hidden_size"), norm_of(config)
        stable = config.flag("do_stable_layer_norm", default=False)
        dropout = config.rate("hidden_dropout", 0.1)
        return ModelConfig(
            embedding=EmbeddingConfig(
                kind="waves",
                width=width,
                norm=None if stable else norm,
                waves=self._waves(config),
                dropout=dropout,
            ),
            encoder=TransformerConfig(
                width=width,
                layers=config.whole("num_hidden_layers"),
                attention=AttentionConfig(
                    width=width,
                    heads=config.whole("num_attention_heads"),
                    bias=True,
                    out_bias=True,
                ),
                mlp=MlpConfig(
                    hidden=config.whole("intermediate_size"),
                    activation=config.choice("hidden_act", ACTIVATIONS, "gelu"),
                    gated=False,
                    bias=True,
                ),
                norm=norm,
                pre_norm=stable,
                final_norm=stable,
                dropout=dropout,
            ),
            head=self._head(config),
            init=InitConfig(scale=config.number("initializer_range")),
        )

    def _waves(self, config: HfConfig) -> WaveConfig:
        """The convolutions, of a complete configuration."""
        normal = config.flag("feat_proj_layer_norm", default=True)
        return WaveConfig(
            widths=_sizes(config, "conv_dim"),
            kernels=_sizes(config, "conv_kernel"),
            strides=_sizes(config, "conv_stride"),
            bias=config.flag("conv_bias", default=False),
            norm=config.choice("feat_extract_norm", _NORMS, "group"),
            activation=config.choice("feat_extract_activation", ACTIVATIONS, "gelu"),
            projected_norm=norm_of(config) if normal else None,
            position_kernel=config.whole("num_conv_pos_embeddings"),
            position_groups=config.whole("num_conv_pos_embedding_groups"),
            dropout=config.rate("feat_proj_dropout", 0.0),
        )

    def _head(self, config: HfConfig) -> HeadConfig | None:
        """The head that ``architectures`` names, by default that of letters."""
        [name, *_] = config.names("architectures") or (self.told,)
        if name in self.bare:
            return None
        if name != self.told:
            raise config.error("architectures", f"{self.told} or {' or '.join(self.bare)}", name)
        return self._letters(config, ())

    def _letters(self, config: HfConfig, labels: tuple[str, ...]) -> HeadConfig:
        """The head that says letters."""
        del labels
        config = self.keys.complete(config)
        size, blank = config.whole("vocab_size"), config.whole("pad_token_id", least=0)
        if blank >= size:
            raise config.error("pad_token_id", f"a token below vocab_size {size}", blank)
        return HeadConfig(
            width=config.whole("hidden_size"),
            size=size,
            bias=True,
            dropout=config.rate("final_dropout", 0.1),
            blank=blank,
        )

    def heads(self) -> Mapping[str, MakeHead | None]:
        return {"transcripts": self._letters}

    def write(self, config: ModelConfig) -> dict[str, Any]:
        stack, embedding, head = config.encoder, config.embedding, config.head
        waves = embedding.waves
        if waves is None or not isinstance(stack, TransformerConfig) or config.decoder is not None:
            raise CheckpointError("expected samples, an encoder of transformer layers, no decoder")
        written: dict[str, Any] = {
            "model_type": self.model_type,
            "architectures": [self.bare[0] if head is None else self.told],
            "hidden_size": stack.width,
            "num_hidden_layers": stack.layers,
            "num_attention_heads": stack.attention.heads,
            "intermediate_size": stack.mlp.hidden,
            "hidden_act": name_of_activation(stack.mlp.activation),
            "hidden_dropout": stack.dropout,
            "feat_proj_dropout": waves.dropout,
            "initializer_range": config.init.scale if config.init else 0.02,
            "layer_norm_eps": stack.norm.eps,
            "feat_extract_norm": waves.norm,
            "feat_extract_activation": name_of_activation(waves.activation),
            "conv_dim": list(waves.widths),
            "conv_kernel": list(waves.kernels),
            "conv_stride": list(waves.strides),
            "conv_bias": waves.bias,
            "num_conv_pos_embeddings": waves.position_kernel,
            "num_conv_pos_embedding_groups": waves.position_groups,
            "do_stable_layer_norm": stack.pre_norm,
        }
        if head is not None:
            blank = 0 if head.blank is None else head.blank
            written |= {"vocab_size": head.size, "pad_token_id": blank}
            written["final_dropout"] = head.dropout
        return written

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        prefix = "" if config.head is None else self.prefix
        body = (
            *self._front(config, prefix),
            *layer_rules(prefix + "encoder.layers.{i}", _NAMES, "encoder"),
            # of layers that begin with their norms this is the last one, else it is the first one
            *norm_rules(
                f"{prefix}encoder.layer_norm",
                "encoder.norm" if config.embedding.norm is None else "embedding.norm",
            ),
        )
        return (*with_optional_prefix(self.prefix, body), *leaf_rules("lm_head", "head"))

    def _front(self, config: ModelConfig, prefix: str) -> tuple[Rule, ...]:
        """Rules for what makes vectors of samples."""
        waves = config.embedding.waves
        if waves is None:
            raise CheckpointError("expected an embedding of samples")
        layer, ours = f"{prefix}feature_extractor.conv_layers.{{i}}.", "embedding.layers.{i}"
        around, kernel = prefix + _POSITIONS, waves.position_kernel
        length = Rule(
            f"{around}parametrizations.weight.original0",
            "embedding.positions.length.weight",
            also=(f"{around}weight_g",),
            stored=(1, 1, kernel),
        )
        direction = Rule(
            f"{around}parametrizations.weight.original1",
            "embedding.positions.direction.weight",
            also=(f"{around}weight_v",),
        )
        return (
            *leaf_rules(f"{layer}conv", ours),
            *norm_rules(f"{layer}layer_norm", f"{ours}.norm"),
            *norm_rules(f"{prefix}feature_projection.layer_norm", "embedding.projected_norm"),
            *leaf_rules(f"{prefix}feature_projection.projection", "embedding.project"),
            length,
            direction,
            Rule(f"{around}bias", "embedding.positions.bias"),
        )

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        return self.unused if config.head is not None else (*self.unused, "lm_head.*")


def _sizes(config: HfConfig, key: str) -> tuple[int, ...]:
    """A list of positive integers."""
    value = config.values[key]
    if not isinstance(value, list | tuple) or not value:
        raise config.error(key, "a list of positive integers", value)
    return tuple(HfConfig({key: one}, config.where).whole(key) for one in value)
