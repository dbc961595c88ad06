"""What encoders of pictures in the shape of ViT share: configuration, names, and heads.

Attention weights and whole layers (``drop_path_rate``) are not dropped here in training.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    HeadConfig,
    InitConfig,
    MlpConfig,
    ModelConfig,
    PatchConfig,
    TransformerConfig,
)
from lmkernel.errors import CheckpointError
from lmkernel.families.config_keys import ConfigKeys
from lmkernel.families.encoder_heads import (
    leaf_rules,
    norm_of,
    norm_rules,
    plain_labels,
    write_labels,
)
from lmkernel.families.family import ACTIVATIONS, Family, name_of_activation
from lmkernel.families.hf_config import HfConfig
from lmkernel.families.names import Rule, with_optional_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lmkernel.families.family import MakeHead

__all__ = ["VISION_KEYS", "VisionFamily", "patches_of", "pixels_of", "write_pixels"]

_LAYER = "encoder.layers.{i}."
_SIDES = 2
VISION_KEYS = ConfigKeys(
    read={
        "architectures": None,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "initializer_range": 0.02,
        "image_size": 224,
        "num_channels": 3,
        "qkv_bias": True,
        "id2label": None,
        "num_labels": 2,
    },
    inert=frozenset({"attention_probs_dropout_prob", "is_causal"}),
)
"""The keys that encoders of pictures have in common."""


def pixels_of(config: HfConfig, key: str) -> tuple[int, int]:
    """Height and width in pixels, from one number or two.

    Raises:
        CheckpointError: the key is missing, or is neither a positive integer nor two of them.
    """
    value = config.values.get(key)
    if not isinstance(value, list | tuple):
        return (config.whole(key),) * 2
    if len(value) != _SIDES:
        raise config.error(key, "one number, or a height and a width", value)
    height, width = (HfConfig({key: one}, config.where).whole(key) for one in value)
    return height, width


def write_pixels(height: int, width: int) -> int | list[int]:
    """One number where both are equal."""
    return height if height == width else [height, width]


def patches_of(embedding: EmbeddingConfig) -> PatchConfig:
    """The patches of a model of pictures.

    Raises:
        CheckpointError: it is none.
    """
    if embedding.patches is None:
        raise CheckpointError(f"expected an embedding of pictures, got kind {embedding.kind!r}")
    return embedding.patches


class VisionFamily(Family):
    """A family in ViT's shape: pre-norm layers over patches with a vector before them.

    Attributes:
        model_type: the name that it is registered under.
        prefix: of the names of the bare model, beside a head.
        bare, classes: transformers' classes of the bare model and of the classifier.
        names: the names of a layer's products and norms, each with ours, or with several.
        scales: the names of a layer's learned factors, each with ours.
        pooling: of the classifier, as `HeadConfig` has it.
        resized: whether pictures of other sizes are taken.
    """

    model_type: ClassVar[str]
    prefix: ClassVar[str]
    bare: ClassVar[str]
    classes: ClassVar[str]
    names: ClassVar[Mapping[str, str | tuple[str, ...]]]
    scales: ClassVar[Mapping[str, str]] = MappingProxyType({})
    pooling: ClassVar[str] = "first"
    resized: ClassVar[bool] = False
    keys: ClassVar[ConfigKeys]

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        embedding = self.embedding(config)
        return ModelConfig(
            embedding=embedding,
            encoder=self.stack(config),
            head=self.head(config),
            context=embedding.context,
            init=InitConfig(scale=config.number("initializer_range")),
        )

    def embedding(self, config: HfConfig) -> EmbeddingConfig:
        """The patches, of a complete configuration."""
        height, width = pixels_of(config, "image_size")
        down, along = pixels_of(config, "patch_size")
        if height < down or width < along or (self.resized and height != width):
            what = "a square of at least a patch" if self.resized else "a patch at least"
            raise config.error("image_size", what, config.values["image_size"])
        patches = PatchConfig(
            height=height,
            width=width,
            patch_height=down,
            patch_width=along,
            channels=config.whole("num_channels"),
            resized=self.resized,
        )
        return EmbeddingConfig(
            kind="patches",
            width=config.whole("hidden_size"),
            positions="learned",
            context=patches.count,
            patches=patches,
            dropout=config.rate("hidden_dropout_prob", 0.0),
        )

    def stack(self, config: HfConfig) -> TransformerConfig:
        """The layers, of a complete configuration."""
        width = config.whole("hidden_size")
        bias = config.flag("qkv_bias", default=True)
        heads = config.whole("num_attention_heads")
        return TransformerConfig(
            width=width,
            layers=config.whole("num_hidden_layers"),
            attention=AttentionConfig(width=width, heads=heads, bias=bias, out_bias=True),
            mlp=self.mlp(config),
            norm=norm_of(config),
            dropout=config.rate("hidden_dropout_prob", 0.0),
        )

    def mlp(self, config: HfConfig) -> MlpConfig:
        """The network of a layer, of a complete configuration."""
        return MlpConfig(
            hidden=config.whole("intermediate_size"),
            activation=config.choice("hidden_act", ACTIVATIONS, "gelu"),
            gated=False,
            bias=True,
        )

    def head(self, config: HfConfig) -> HeadConfig | None:
        """The head that ``architectures`` names; that of the bare model if it names none."""
        [name, *_] = config.names("architectures") or (self.bare,)
        if name == self.bare:
            return self.pooler(config)
        if name != self.classes:
            raise config.error("architectures", f"{self.bare} or {self.classes}", name)
        labels = config.labels()
        return HeadConfig(
            width=config.whole("hidden_size"),
            size=len(labels) or config.whole("num_labels"),
            bias=True,
            pooling=self.pooling,
            labels=labels if labels != plain_labels(len(labels)) else (),
        )

    def pooler(self, config: HfConfig) -> HeadConfig | None:
        """What the bare model ends in; None for the hidden vectors."""
        del config
        return None

    def heads(self) -> Mapping[str, MakeHead | None]:
        return MappingProxyType({})

    def write(self, config: ModelConfig) -> dict[str, Any]:
        stack, embedding, head = config.encoder, config.embedding, config.head
        patches = patches_of(embedding)
        if not isinstance(stack, TransformerConfig) or config.decoder is not None:
            raise CheckpointError("expected an encoder of transformer layers, and no decoder")
        told = head is not None and self.is_classifier(head)
        return {
            "model_type": self.model_type,
            "architectures": [self.classes if told else self.bare],
            "hidden_size": stack.width,
            "num_hidden_layers": stack.layers,
            "num_attention_heads": stack.attention.heads,
            "hidden_dropout_prob": embedding.dropout,
            "layer_norm_eps": stack.norm.eps,
            "initializer_range": config.init.scale if config.init else 0.02,
            "image_size": write_pixels(patches.height, patches.width),
            "patch_size": write_pixels(patches.patch_height, patches.patch_width),
            "num_channels": patches.channels,
            "qkv_bias": stack.attention.bias,
            **self.write_mlp(stack),
            **(write_labels(head) if told and head else self.write_pooler(head)),
        }

    def write_mlp(self, stack: TransformerConfig) -> dict[str, Any]:
        """What the configuration says of the networks."""
        return {
            "intermediate_size": stack.mlp.hidden,
            "hidden_act": name_of_activation(stack.mlp.activation),
        }

    def write_pooler(self, head: HeadConfig | None) -> dict[str, Any]:
        """What it says of the bare model's end."""
        if head is not None:
            raise CheckpointError(f"expected a head for classes, or none, got {head!r:.80}")
        return {}

    def is_classifier(self, head: HeadConfig) -> bool:
        """Whether it is the head for classes."""
        return head.pooling == self.pooling and head.activation == "none"

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        stack, head = config.encoder, config.head
        if not isinstance(stack, TransformerConfig):
            raise CheckpointError("expected an encoder of transformer layers")
        prefix = self.prefix if head is not None and self.is_classifier(head) else ""
        body = with_optional_prefix(self.prefix, self._body(prefix, config.embedding, stack))
        ends = leaf_rules("classifier" if prefix else "pooler.dense", "head")
        return (*body, *(ends if prefix else with_optional_prefix(self.prefix, ends)))

    def layer_names(self, stack: TransformerConfig) -> Mapping[str, str | tuple[str, ...]]:
        """The names of a layer's products and norms."""
        del stack
        return self.names

    def _body(
        self, prefix: str, embedding: EmbeddingConfig, stack: TransformerConfig
    ) -> Iterator[Rule]:
        patches = patches_of(embedding)
        before, patch = f"{prefix}embeddings.", "patch_embeddings.projection."
        width = embedding.width
        shape = (width, patches.channels, patches.patch_height, patches.patch_width)
        yield Rule(f"{before}{patch}weight", "embedding.patches.weight", stored=shape)
        yield Rule(f"{before}{patch}bias", "embedding.patches.bias")
        yield Rule(f"{before}cls_token", "embedding.token.weight", stored=(1, 1, width))
        table = (1, patches.count, width)
        yield Rule(f"{before}position_embeddings", "embedding.positions.weight", stored=table)
        for theirs, product in self.layer_names(stack).items():
            parts = (product,) if isinstance(product, str) else product
            name = f"{prefix}encoder.layer.{{i}}.{theirs}"
            yield from leaf_rules(name, *(_LAYER + part for part in parts))
        for theirs, factors in self.scales.items():
            name = f"{prefix}encoder.layer.{{i}}.{theirs}"
            yield Rule(name, f"{_LAYER}{factors}.weight")
        yield from norm_rules(f"{prefix}layernorm", "encoder.norm")

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        unused = "pooler.*" if config.head is not None else "classifier.*"
        return ("*embeddings.mask_token", f"*{unused}")
