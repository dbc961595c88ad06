"""Classification and reward models of decoders: a product after the last token, for any family.

transformers' ``…ForSequenceClassification`` of every decoder is the bare model and
``score.weight``, without a bias, read at a row's last real token; a reward model has one output.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.config import HeadConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.encoder_heads import plain_labels, write_labels
from lmkernel.families.family import Family, HfConfig
from lmkernel.families.names import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.config import ModelConfig
    from lmkernel.families.family import MakeHead
    from lmkernel.families.gguf_architecture import GgufArchitecture
    from lmkernel.families.sizes import Sizes

__all__ = ["ClassifyingFamily"]

_KIND = "ForSequenceClassification"
_NEXT = "ForCausalLM"
_CLASSES = 2
"""What transformers takes where nothing says how many classes there are."""


@final
class ClassifyingFamily(Family):
    """A family of decoders whose models may tell classes apart, too.

    Args:
        own: the family of those that predict the next token.
    """

    def __init__(self, own: Family) -> None:
        self._own = own
        self.keys = own.keys  # type: ignore[misc]  # the same for all of a family, but not of this class

    def read(self, config: HfConfig) -> ModelConfig:
        if not any(name.endswith(_KIND) for name in config.names("architectures")[:1]):
            return self._own.read(config)
        own = self._own.read(_without_architecture(config))
        labels = config.labels()
        size = len(labels) or config.whole("num_labels", _CLASSES)
        return replace(own, head=_head(own.embedding.width, size, labels))

    def write(self, config: ModelConfig) -> dict[str, Any]:
        head = config.head
        if not _classifies(head):
            return self._own.write(config)
        if head is None or head.bias or head.transform or head.activation != "none":
            raise CheckpointError("expected a head that is a product alone, without a bias")
        written = self._own.write(replace(config, head=_next_token(config)))
        [name] = written["architectures"]
        kind = f"{name.removesuffix(_NEXT).removesuffix('LMHeadModel')}{_KIND}"
        return {**written, "architectures": [kind], **write_labels(head)}

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        if not _classifies(config.head):
            return self._own.rules(config)
        own = self._own.rules(replace(config, head=_next_token(config)))
        body = tuple(rule for rule in own if not _is_head(rule))
        return (*body, Rule("score.weight", "head.weight"))

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        if not _classifies(config.head):
            return self._own.ignored(config)
        plain = replace(config, head=_next_token(config))
        heads = (rule for rule in self._own.rules(plain) if _is_head(rule))
        unused = (name for rule in heads for name in (rule.theirs, *rule.also))
        return (*self._own.ignored(plain), *unused)

    def heads(self) -> Mapping[str, MakeHead | None]:
        return {**self._own.heads(), "classification": self._make, "scores": self._make}

    def _make(self, config: HfConfig, labels: tuple[str, ...]) -> HeadConfig:
        own = self._own.read(_without_architecture(config))
        return _head(own.embedding.width, len(labels) or _CLASSES, labels)

    def new(self, sizes: Sizes) -> dict[str, Any]:
        return self._own.new(sizes)

    def special_tokens(self) -> dict[str, str]:
        return self._own.special_tokens()

    def gguf(self) -> GgufArchitecture | None:
        return self._own.gguf()


def _without_architecture(config: HfConfig) -> HfConfig:
    """What the family itself reads, which knows its own classes alone."""
    values = {key: value for key, value in config.values.items() if key != "architectures"}
    return HfConfig(values, config.where)


def _head(width: int, size: int, labels: tuple[str, ...]) -> HeadConfig:
    named = labels if labels != plain_labels(len(labels)) else ()
    return HeadConfig(width=width, size=size, pooling="last", labels=named)


def _classifies(head: HeadConfig | None) -> bool:
    return head is not None and head.pooling == "last"


def _next_token(config: ModelConfig) -> HeadConfig:
    """A head that the family itself has."""
    return HeadConfig(width=config.embedding.width, size=config.embedding.vocab, tied=True)


def _is_head(rule: Rule) -> bool:
    ours = (rule.ours,) if isinstance(rule.ours, str) else rule.ours
    return ours[0].startswith("head.")
