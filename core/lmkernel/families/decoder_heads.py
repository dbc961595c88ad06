"""Classification and reward models of decoders: a product after the last token, for any family.

transformers' ``…ForSequenceClassification`` of every decoder is the bare model and
``score.weight``, without a bias, read at a row's last real token that has another id than
``pad_token_id``; a reward model has one output. A bare ``…Model`` has no head at all.
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
_BARE = "Model"
_NEXT, _HEADED = "ForCausalLM", "LMHeadModel"
_PADDING, _TIED = "pad_token_id", "tie_word_embeddings"
_CLASS = "architectures"
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
        [name] = config.names(_CLASS)[:1] or ("",)
        if not name.endswith((_KIND, _BARE)):
            return self._own.read(config)
        own = self._own.read(config.without(_CLASS))  # which knows its own classes alone
        if not name.endswith(_KIND):
            bare = name == _named(self._own.write(own), _BARE)
            return _without_head(own) if bare else self._own.read(config)
        labels = config.labels()
        size = len(labels) or config.whole("num_labels", _CLASSES)
        skipped = self._skipped(config, own.embedding.vocab)
        return replace(own, head=_head(own.embedding.width, size, labels, skipped))

    def _skipped(self, config: HfConfig, vocab: int) -> int | None:
        """The token that padding is; None where there is none, or where no text can hold it."""
        described = self.keys.complete(config) if self.keys else config
        padding = described.values.get(_PADDING)
        if padding is not None and (isinstance(padding, bool) or not isinstance(padding, int)):
            raise described.error(_PADDING, "a token's id, or null", padding)
        return padding if padding is not None and 0 <= padding < vocab else None

    def write(self, config: ModelConfig) -> dict[str, Any]:
        head = config.head
        if _predicts(config):
            return self._own.write(config)
        written = self._own.write(replace(config, head=_next_token(config)))
        if head is None:
            return {**written, _CLASS: [_named(written, _BARE)], _TIED: False}
        if head.bias or head.transform or head.activation != "none":
            raise CheckpointError("expected a head that is a product alone, without a bias")
        kind = _named(written, _KIND)
        # null, too, in place of another default and of what a tokenizer pads with
        padding = {_PADDING: head.skipped}
        return {**written, _CLASS: [kind], **padding, **write_labels(head)}

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        if _predicts(config):
            return self._own.rules(config)
        own = self._own.rules(replace(config, head=_next_token(config)))
        body = tuple(rule for rule in own if not _is_head(rule))
        return body if config.head is None else (*body, Rule("score.weight", "head.weight"))

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        if _predicts(config):
            return self._own.ignored(config)
        plain = replace(config, head=_next_token(config))
        heads = (rule for rule in self._own.rules(plain) if _is_head(rule))
        unused = (name for rule in heads for name in (rule.theirs, *rule.also))
        return (*self._own.ignored(plain), *unused)

    def heads(self) -> Mapping[str, MakeHead | None]:
        return {**self._own.heads(), "classification": self._make, "scores": self._make}

    def _make(self, config: HfConfig, labels: tuple[str, ...]) -> HeadConfig:
        own = self._own.read(config.without(_CLASS))
        skipped = self._skipped(config, own.embedding.vocab)
        return _head(own.embedding.width, len(labels) or _CLASSES, labels, skipped)

    def new(self, sizes: Sizes) -> dict[str, Any]:
        return self._own.new(sizes)

    def special_tokens(self) -> dict[str, str]:
        return self._own.special_tokens()

    def gguf(self) -> GgufArchitecture | None:
        return self._own.gguf()


def _head(width: int, size: int, labels: tuple[str, ...], skipped: int | None) -> HeadConfig:
    named = labels if labels != plain_labels(len(labels)) else ()
    return HeadConfig(width=width, size=size, pooling="last", skipped=skipped, labels=named)


def _without_head(config: ModelConfig) -> ModelConfig:
    """A bare model's; of a tied one the head is there, since the table is."""
    return config if config.head is not None and config.head.tied else replace(config, head=None)


def _predicts(config: ModelConfig) -> bool:
    """Whether it has the head that the family itself knows."""
    return config.head is not None and config.head.pooling != "last"


def _named(written: Mapping[str, Any], kind: str) -> str:
    """What transformers calls the class of another head, or of none."""
    [name] = written[_CLASS]
    name = name.removesuffix(_NEXT).removesuffix(_HEADED)
    # a family of texts that has one of pictures beside it, under the same name
    text = "Text" if written["model_type"].endswith("_text") else ""
    return f"{name}{text}{kind}"


def _next_token(config: ModelConfig) -> HeadConfig:
    """A head that the family itself has."""
    return HeadConfig(width=config.embedding.width, size=config.embedding.vocab, tied=True)


def _is_head(rule: Rule) -> bool:
    ours = (rule.ours,) if isinstance(rule.ours, str) else rule.ours
    return ours[0].startswith("head.")
