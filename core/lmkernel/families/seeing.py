"""What families that talk about pictures share: Llama's decoder beside a tower of pictures.

A configuration has a part for each; the decoder's is read and written by Llama's family, whose
names of tensors stand behind a prefix.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, final

from lmkernel.errors import CheckpointError
from lmkernel.families.family import Family
from lmkernel.families.hf_config import HfConfig
from lmkernel.families.llama import Llama

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lmkernel.config import ModelConfig, SightConfig
    from lmkernel.families.config_keys import ConfigKeys
    from lmkernel.families.family import MakeHead
    from lmkernel.families.names import Rule

__all__ = ["TEXT", "TIED", "VISION", "SeeingFamily"]

TEXT, VISION, TIED = "text_config", "vision_config", "tie_word_embeddings"
"""Keys of every such configuration."""
_DECODER, _TYPE = Llama(), "llama"
_BODY, _HEAD = "model.", "lm_head."


class SeeingFamily(Family):
    """A family whose decoder is shown pictures.

    Attributes:
        model_type: the name that it is registered under.
        architecture: transformers' class.
        tower_type: the ``model_type`` of its towers of pictures.
        tower_types: all that they are called in files.
        token_key: what says which token stands for a vector of a picture.
        body, head: what the names of the decoder's tensors and of the head's begin with; the first
            is written.
    """

    model_type: ClassVar[str]
    architecture: ClassVar[str]
    tower_type: ClassVar[str]
    tower_types: ClassVar[tuple[str, ...]]
    token_key: ClassVar[str]
    body: ClassVar[tuple[str, ...]]
    head: ClassVar[tuple[str, ...]]
    keys: ClassVar[ConfigKeys]

    @abstractmethod
    def sight(self, whole: HfConfig, vision: HfConfig, width: int) -> SightConfig:
        """What makes vectors of a width of pictures, of complete configurations."""

    @abstractmethod
    def write_sight(self, sight: SightConfig) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the configuration says of that: in all, and of the tower."""

    @abstractmethod
    def sight_rules(self, sight: SightConfig) -> Iterator[Rule]:
        """The names of the tower's tensors, and of the connector's."""

    def tied(self, whole: HfConfig, text: HfConfig) -> bool:
        """Whether the head is the table of tokens."""
        del text
        return whole.flag(TIED, default=False)

    @final
    def read(self, config: HfConfig) -> ModelConfig:
        whole = self.keys.complete(config)
        named = whole.names("architectures") or (self.architecture,)
        if named[0] != self.architecture:
            raise whole.error("architectures", self.architecture, named[0])
        text = self._part(config, TEXT, (_TYPE,))
        vision = self._part(config, VISION, self.tower_types)
        said = {**text.values, TIED: self.tied(whole, text)}
        decoder = _DECODER.read(HfConfig(said, text.where))
        sight = self.sight(whole, self.keys.parts[VISION].complete(vision), decoder.embedding.width)
        if sight.token >= decoder.embedding.vocab:
            expected = f"a token of the vocabulary, below {decoder.embedding.vocab}"
            raise whole.error(self.token_key, expected, sight.token)
        return replace(decoder, sight=sight)

    def _part(self, config: HfConfig, key: str, kinds: tuple[str, ...]) -> HfConfig:
        """A part of a configuration, of one of some kinds; the first, where it says none."""
        part = config.part(key)
        if part is None:
            raise config.error(key, "an object", config.values.get(key))
        part.choice("model_type", dict.fromkeys(kinds), kinds[0])
        return part

    @final
    def write(self, config: ModelConfig) -> dict[str, Any]:
        own, tower = self.write_sight(_sight_of(config))
        text = _DECODER.write(replace(config, sight=None))
        del text["architectures"]
        return {
            "model_type": self.model_type,
            "architectures": [self.architecture],
            **own,
            TIED: text[TIED],
            TEXT: text,
            VISION: {"model_type": self.tower_type, **tower},
        }

    def heads(self) -> Mapping[str, MakeHead | None]:
        # there are no data of training with pictures
        return MappingProxyType({})

    @final
    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        decoder = (self._renamed(rule) for rule in _DECODER.rules(config))
        return (*decoder, *self.sight_rules(_sight_of(config)))

    def _renamed(self, rule: Rule) -> Rule:
        """A rule of the decoder with the names that a tensor has here."""
        head = rule.theirs.startswith(_HEAD)
        own = rule.theirs.removeprefix(_HEAD if head else _BODY)
        theirs, *also = (prefix + own for prefix in (self.head if head else self.body))
        return replace(rule, theirs=theirs, also=tuple(also))

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        return (*_DECODER.ignored(config), "*embeddings.position_ids")


def _sight_of(config: ModelConfig) -> SightConfig:
    if config.sight is None:
        raise CheckpointError("expected a model that is shown pictures")
    return config.sight
