"""What families of pictures and texts share: CLIP's two towers, and their names.

The tower of texts is the model itself; that of pictures stands in `PairConfig`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    MlpConfig,
    ModelConfig,
    PairConfig,
    PatchConfig,
    TransformerConfig,
)
from lmkernel.errors import CheckpointError
from lmkernel.families.config_keys import ConfigKeys
from lmkernel.families.encoder_heads import leaf_rules, norm_of
from lmkernel.families.family import ACTIVATIONS, Family, name_of_activation
from lmkernel.families.names import Rule, layer_rules
from lmkernel.families.vision import patches_of, pixels_of, write_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lmkernel.config import HeadConfig, NormConfig
    from lmkernel.families.family import MakeHead
    from lmkernel.families.hf_config import HfConfig

__all__ = ["TEXT_KEYS", "TOWER_KEYS", "TowersFamily"]

_QUICK, _SLOPE = "quick_gelu", 1.702
_TEXT, _VISION = "text_config", "vision_config"
TOWER_KEYS = ConfigKeys(
    read={
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_channels": 3,
        "image_size": 224,
        "patch_size": 16,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-6,
    },
    # training
    inert=frozenset({"initializer_range", "initializer_factor"}),
)
"""The keys of a tower of pictures."""
TEXT_KEYS = ConfigKeys(
    read={
        "vocab_size": 32000,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": 64,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-6,
    },
    inert=TOWER_KEYS.inert,
)
"""The keys of a tower of texts."""
_LAYER = MappingProxyType(
    {
        "layer_norm1": "attention_norm",
        "self_attn.q_proj": "attention.q",
        "self_attn.k_proj": "attention.k",
        "self_attn.v_proj": "attention.v",
        "self_attn.out_proj": "attention.o",
        "layer_norm2": "mlp_norm",
        "mlp.fc1": "mlp.up",
        "mlp.fc2": "mlp.down",
    }
)


class TowersFamily(Family):
    """A family with a tower of texts and one of pictures.

    Attributes:
        model_type: the name that it is registered under; the towers' begin with it.
        architecture: transformers' class.
        causal: whether a token sees those before it alone.
        token: whether a vector stands before the patches.
    """

    model_type: ClassVar[str]
    architecture: ClassVar[str]
    causal: ClassVar[bool]
    token: ClassVar[bool]
    keys: ClassVar[ConfigKeys]

    def read(self, config: HfConfig) -> ModelConfig:
        whole = self.keys.complete(config)
        named = whole.names("architectures") or (self.architecture,)
        if named[0] != self.architecture:
            raise whole.error("architectures", self.architecture, named[0])
        text, vision = self._part(config, _TEXT), self._part(config, _VISION)
        return ModelConfig(
            embedding=EmbeddingConfig(
                width=text.whole("hidden_size"),
                vocab=text.whole("vocab_size"),
                positions="learned",
                context=text.whole("max_position_embeddings"),
            ),
            encoder=_stack(text, causal=self.causal),
            head=self.text_head(whole, text),
            context=text.whole("max_position_embeddings"),
            pair=self.pair(whole, self._pictures(whole, vision)),
        )

    def _part(self, config: HfConfig, key: str) -> HfConfig:
        """A tower's configuration; older files have a second one, which transformers prefers."""
        part = config.part(f"{key}_dict", key)
        if part is None:
            raise config.error(key, "an object", config.values.get(key))
        return self.keys.parts[key].complete(part)

    def _pictures(self, whole: HfConfig, config: HfConfig) -> ModelConfig:
        height, width = pixels_of(config, "image_size")
        down, along = pixels_of(config, "patch_size")
        if height != width or down != along or height < down:
            expected = "squares, of which a picture holds a patch at least"
            raise config.error("image_size", expected, config.values["image_size"])
        stack = _stack(config, causal=False)
        patches = PatchConfig(
            height=height,
            width=width,
            patch_height=down,
            patch_width=along,
            channels=config.whole("num_channels"),
            bias=not self.token,
            token=self.token,
        )
        embedding = EmbeddingConfig(
            kind="patches",
            width=stack.width,
            positions="learned",
            context=patches.count,
            patches=patches,
            norm=self.first_norm(stack.norm),
        )
        head = self.picture_head(whole, config)
        return ModelConfig(embedding=embedding, encoder=stack, head=head, context=patches.count)

    def first_norm(self, norm: NormConfig) -> NormConfig | None:
        """The normalisation before the layers of pictures; None for none."""
        del norm
        return None

    def text_head(self, whole: HfConfig, text: HfConfig) -> HeadConfig:
        """What makes a text's vector."""
        raise NotImplementedError

    def picture_head(self, whole: HfConfig, vision: HfConfig) -> HeadConfig:
        """What makes a picture's vector."""
        raise NotImplementedError

    def pair(self, whole: HfConfig, pictures: ModelConfig) -> PairConfig:
        """How vectors are compared."""
        raise NotImplementedError

    def head_rules(self, config: ModelConfig) -> Iterator[Rule]:
        """The names of the heads, and of the numbers that compare vectors."""
        raise NotImplementedError

    def write_heads(self, config: ModelConfig) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the configuration says of the heads: for all, and for the tower of texts."""
        raise NotImplementedError

    def write(self, config: ModelConfig) -> dict[str, Any]:
        pair = _pair_of(config)
        vision, patches = pair.pictures, patches_of(pair.pictures.embedding)
        whole, text = self.write_heads(config)
        return {
            "model_type": self.model_type,
            "architectures": [self.architecture],
            **whole,
            _TEXT: {
                "model_type": f"{self.model_type}_text_model",
                "vocab_size": config.embedding.vocab,
                "max_position_embeddings": config.context,
                **_write_stack(config),
                **text,
            },
            _VISION: {
                "model_type": f"{self.model_type}_vision_model",
                "image_size": write_pixels(patches.height, patches.width),
                "patch_size": write_pixels(patches.patch_height, patches.patch_width),
                "num_channels": patches.channels,
                **_write_stack(vision),
            },
        }

    def heads(self) -> Mapping[str, MakeHead | None]:
        return MappingProxyType({})

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        return tuple(self._rules(config))

    def _rules(self, config: ModelConfig) -> Iterator[Rule]:
        embedding = _pair_of(config).pictures.embedding
        patches, ours = patches_of(embedding), "pictures.embedding"
        shape = (embedding.width, patches.channels, patches.patch_height, patches.patch_width)
        text, vision = "text_model.", "vision_model."
        yield Rule(f"{text}embeddings.token_embedding.weight", "embedding.tokens.weight")
        yield Rule(f"{text}embeddings.position_embedding.weight", "embedding.positions.weight")
        yield from layer_rules(f"{text}encoder.layers.{{i}}", _LAYER, "encoder")
        yield from leaf_rules(f"{text}final_layer_norm", "encoder.norm")
        before = f"{vision}embeddings."
        first = Rule(f"{before}class_embedding", f"{ours}.token.weight", stored=(embedding.width,))
        yield first
        yield Rule(f"{before}patch_embedding.weight", f"{ours}.patches.weight", stored=shape)
        yield Rule(f"{before}patch_embedding.bias", f"{ours}.patches.bias")
        yield Rule(f"{before}position_embedding.weight", f"{ours}.positions.weight")
        yield from leaf_rules(f"{vision}pre_layrnorm", f"{ours}.norm")  # its name in the files
        yield from layer_rules(f"{vision}encoder.layers.{{i}}", _LAYER, "pictures.encoder")
        yield from leaf_rules(f"{vision}post_layernorm", "pictures.encoder.norm")
        yield from self.head_rules(config)

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        del config
        return ("*embeddings.position_ids",)


def _pair_of(config: ModelConfig) -> PairConfig:
    if config.pair is None:
        raise CheckpointError("expected a model of texts and pictures")
    return config.pair


def network_of(config: HfConfig) -> MlpConfig:
    """The network of a layer; CLIP's GELU is x · sigmoid(1.702 · x)."""
    act = config.choice("hidden_act", {**ACTIVATIONS, _QUICK: _QUICK}, _QUICK)
    quick = act == _QUICK
    return MlpConfig(
        hidden=config.whole("intermediate_size"),
        activation="silu" if quick else act,
        slope=_SLOPE if quick else 1.0,
        gated=False,
        bias=True,
    )


def _stack(config: HfConfig, *, causal: bool) -> TransformerConfig:
    width, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    return TransformerConfig(
        width=width,
        layers=config.whole("num_hidden_layers"),
        attention=AttentionConfig(width=width, heads=heads, bias=True, out_bias=True),
        mlp=network_of(config),
        norm=norm_of(config),
        causal=causal,
    )


def _write_stack(config: ModelConfig) -> dict[str, Any]:
    stack = config.encoder
    if not isinstance(stack, TransformerConfig):
        raise CheckpointError("expected towers of transformer layers")
    quick = stack.mlp.activation == "silu" and stack.mlp.slope == _SLOPE
    return {
        "hidden_size": stack.width,
        "intermediate_size": stack.mlp.hidden,
        "num_hidden_layers": stack.layers,
        "num_attention_heads": stack.attention.heads,
        "hidden_act": _QUICK if quick else name_of_activation(stack.mlp.activation),
        "layer_norm_eps": stack.norm.eps,
    }
