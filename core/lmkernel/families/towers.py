"""What families of pictures and texts share: CLIP's two towers, and their names.

The tower of texts is the model itself; that of pictures stands in `PairConfig`.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from lmkernel.config import EmbeddingConfig, ModelConfig, PairConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.config_keys import ConfigKeys
from lmkernel.families.encoder_heads import leaf_rules
from lmkernel.families.family import Family
from lmkernel.families.names import Rule, layer_rules
from lmkernel.families.picture_tower import (
    LAYER,
    TOWER_KEYS,
    picture_tower,
    stack_of,
    tower_rules,
    write_stack,
    write_tower,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lmkernel.config import HeadConfig
    from lmkernel.families.family import MakeHead
    from lmkernel.families.hf_config import HfConfig

__all__ = ["TEXT_KEYS", "TowersFamily"]

_TEXT, _VISION = "text_config", "vision_config"
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
    inert=TOWER_KEYS.inert - {"is_causal"},
)
"""The keys of a tower of texts."""


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
            encoder=stack_of(text, causal=self.causal),
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
        tower = picture_tower(config, token=self.token)
        return replace(tower, head=self.picture_head(whole, config))

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
        whole, text = self.write_heads(config)
        return {
            "model_type": self.model_type,
            "architectures": [self.architecture],
            **whole,
            _TEXT: {
                "model_type": f"{self.model_type}_text_model",
                "vocab_size": config.embedding.vocab,
                "max_position_embeddings": config.context,
                **write_stack(config),
                **text,
            },
            _VISION: {
                "model_type": f"{self.model_type}_vision_model",
                **write_tower(pair.pictures),
            },
        }

    def heads(self) -> Mapping[str, MakeHead | None]:
        return MappingProxyType({})

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        return tuple(self._rules(config))

    def _rules(self, config: ModelConfig) -> Iterator[Rule]:
        text = "text_model."
        yield Rule(f"{text}embeddings.token_embedding.weight", "embedding.tokens.weight")
        yield Rule(f"{text}embeddings.position_embedding.weight", "embedding.positions.weight")
        yield from layer_rules(f"{text}encoder.layers.{{i}}", LAYER, "encoder")
        yield from leaf_rules(f"{text}final_layer_norm", "encoder.norm")
        yield from tower_rules("vision_model.", _pair_of(config).pictures)
        yield from self.head_rules(config)

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        del config
        return ("*embeddings.position_ids",)


def _pair_of(config: ModelConfig) -> PairConfig:
    if config.pair is None:
        raise CheckpointError("expected a model of texts and pictures")
    return config.pair
