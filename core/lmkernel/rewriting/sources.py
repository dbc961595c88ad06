"""What an encoder reads: a text with what tells the model its languages, or its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from lmkernel.errors import InputError, UnknownNameError, shown
from lmkernel.inspection.inputs import check_ids, refuse_long
from lmkernel.tokenizers.ended import ended_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.families.languages import Languages
    from lmkernel.language_model import LanguageModel

__all__ = ["Direction", "source_rows"]


@final
@dataclass(frozen=True, kw_only=True)
class Direction:
    """What is asked of texts: what stands around each, and what an answer begins with.

    Args:
        prefix: written before each text.
        before: ids before a text, in place of special tokens of the tokenizer; or none.
        after: ids after it.
        forced: ids of the first token that is written; none for the model's own.
    """

    prefix: str = ""
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    forced: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, model: LanguageModel, source: str | None, target: str | None, prefix: str | None
    ) -> Direction:
        """The direction between two languages, each as the model calls it.

        Raises:
            InputError: the model is told no languages, or both must be said.
            UnknownNameError: a language that the model has no token for.
        """
        if source is None and target is None:
            return cls(prefix=prefix or "")
        told = model.origin.family.languages()
        if told is None:
            raise InputError(
                f"source, target: a {model.origin.model_type} model is told no languages; "
                "leave both out"
            )
        if told.text:
            return cls(prefix=_said(told.text, source, target) if prefix is None else prefix)
        placed: dict[str, tuple[int, ...]] = {}
        for language, where, what in (
            (target, told.target, "target"),
            (source, told.source, "source"),
        ):
            if language is not None and where:
                token = _language_id(model, told, language, what)
                placed[where] = (*placed.get(where, ()), token)
        return cls(prefix=prefix or "", **placed)


def _said(text: str, source: str | None, target: str | None) -> str:
    """The languages in words."""
    if source is None or target is None:
        raise InputError("expected both languages, source and target, got one of them")
    return text.format(source=source, target=target)


def _language_id(model: LanguageModel, told: Languages, language: str, what: str) -> int:
    tokenizer = model.tokenizer
    found = [tokenizer.token_id(mark.format(language)) for mark in told.marks]
    token = next((number for number in found if number is not None), None)
    if token is None:
        # tokens of languages are special ones
        known = (tokenizer.decode([i], skip_special=False) for i in tokenizer.special_ids)
        raise UnknownNameError(f"{what} language", language, known)
    return token


def source_rows(
    model: LanguageModel, texts: Sequence[str], direction: Direction, *, truncate: bool
) -> list[list[int]]:
    """The ids of each text as the encoder reads them.

    Raises:
        InputError: an empty text, or one longer than the context that may not be cut.
    """
    return [_source(model, text, direction, truncate=truncate) for text in texts]


def _source(model: LanguageModel, text: str, direction: Direction, *, truncate: bool) -> list[int]:
    if not isinstance(text, str) or not text.strip():  # type: ignore[redundant-expr]  # whatever a program passes
        raise InputError(f"expected a text, got {shown(text)}")
    around = len(direction.before) + len(direction.after)
    context = model.config.context
    limit = context - around if context and truncate else None
    if not truncate:
        refuse_long(model, text)
    tokenizer, whole = model.tokenizer, direction.prefix + text
    if direction.before or direction.after:
        end = tokenizer.eos_ids[:1]
        room = None if limit is None else limit - len(end)
        ids = [*tokenizer.encode(whole, special_tokens=False, limit=room), *end]
    else:
        ids = ended_ids(tokenizer, whole, limit=limit)
    found = [*direction.before, *ids, *direction.after]
    if context and len(found) > context:
        raise InputError(
            f"the text {text[:40]!r}… has {len(found)} tokens, the model's context only {context}; "
            "truncate (--truncate) cuts it"
        )
    check_ids(model.model.config, found)
    return found
