"""The tokens by which a speech model is told what to do, and says when something was spoken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.arguments import require_known
from lmkernel.errors import CheckpointError, InputError
from lmkernel.generation.checkpoint import decoder_start, own_settings
from lmkernel.speech.languages import LANGUAGES, language_code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel.origin import Origin
    from lmkernel.tokenizers import Tokenizer

__all__ = ["TASKS", "SpeechTokens"]

TASKS = ("transcribe", "translate")
_MULTILINGUAL = 51865
"""The smallest vocabulary that has tokens of languages and of tasks, besides those of text."""


@final
@dataclass(frozen=True, kw_only=True)
class SpeechTokens:
    """Ids of tokens that are no text.

    Args:
        start: what a transcript begins with.
        ends: what it ends with.
        languages: by code; empty for a model of English alone.
        tasks: by name, of `TASKS`; empty for a model that transcribes alone.
        no_timestamps: said where times are not wanted; the tokens after it are times. None for a
            model that has none.
        previous: what stands before the text of an earlier part, or None.
        suppressed: tokens that are never written.
        first_suppressed: tokens that are not written first.
        latest_first: the largest time that may be written first, in steps; None for any.
    """

    start: int
    ends: frozenset[int]
    languages: Mapping[str, int]
    tasks: Mapping[str, int]
    no_timestamps: int | None
    previous: int | None
    suppressed: tuple[int, ...]
    first_suppressed: tuple[int, ...]
    latest_first: int | None

    @property
    def first_time(self) -> int:
        """The token of time 0; each one after it is a step later.

        Raises:
            InputError: the model has no tokens of times.
        """
        if self.no_timestamps is None:
            raise InputError(
                "timestamps: the model has no token '<|notimestamps|>', and so no times"
            )
        return self.no_timestamps + 1

    @property
    def last_text(self) -> int:
        """The first token that is no text."""
        return min(self.ends)

    @classmethod
    def of(cls, origin: Origin) -> SpeechTokens:
        """Those that a model's ``generation_config.json`` names, else its tokenizer.

        Raises:
            CheckpointError: settings of another type, or none that say how a transcript ends.
        """
        settings, tokenizer, where = own_settings(origin), origin.tokenizer, origin.where
        vocab = (origin.config.target_embedding or origin.config.embedding).vocab
        languages = _table(settings, "lang_to_id", vocab, where)
        tasks = _table(settings, "task_to_id", vocab, where)
        several = settings.get("is_multilingual", vocab >= _MULTILINGUAL)
        no_times = _one(settings, "no_timestamps_token_id", vocab, where)
        previous = _one(settings, "prev_sot_token_id", vocab, where)
        if not languages and several:
            languages = {c: i for c in LANGUAGES if (i := tokenizer.token_id(f"<|{c}|>"))}
        if not tasks and several:
            tasks = {t: i for t in TASKS if (i := tokenizer.token_id(f"<|{t}|>"))}
        ends = settings.get("eos_token_id")
        listed = ends if isinstance(ends, list) else [ends] if ends is not None else []
        found = frozenset(_whole(listed, "eos_token_id", where)) or frozenset(tokenizer.eos_ids)
        if not found:
            raise CheckpointError(f"{where}: eos_token_id: expected an id, got none")
        for end in found:
            if not 0 <= end < vocab:
                raise CheckpointError(f"{where}: eos_token_id: expected 0 … {vocab - 1}, got {end}")
        no_times = tokenizer.token_id("<|notimestamps|>") if no_times is None else no_times
        previous = tokenizer.token_id("<|startofprev|>") if previous is None else previous
        return cls(
            start=decoder_start(origin),
            ends=found,
            languages=languages if several else {},
            tasks=tasks if several else {},
            no_timestamps=no_times,
            previous=previous,
            suppressed=_ids(settings, "suppress_tokens", vocab, where),
            first_suppressed=_ids(settings, "begin_suppress_tokens", vocab, where),
            latest_first=_one(settings, "max_initial_timestamp_index", vocab, where),
        )

    def prompt_ids(self, text: str, tokenizer: Tokenizer) -> list[int]:
        """The ids of a text that is taken to be written before; none of an empty one.

        Raises:
            InputError: the model is not told what was before, or the text has tokens of its own.
        """
        if not text.strip():
            return []
        if self.previous is None:
            raise InputError("prompt: the model has no token '<|startofprev|>', so is told none")
        ids = tokenizer.encode(f" {text.strip()}", special_tokens=False)
        strange = [tokenizer.token(i) for i in ids if i >= self.last_text]
        if strange:
            raise InputError(f"prompt: expected a text, got one with {strange[0]!r}")
        return ids

    def without_second_time(self, tokens: Sequence[int]) -> Sequence[int]:
        """A part's tokens as the next window is told them: of a pair of times the first one."""
        if self.no_timestamps is None:
            return tokens
        ends_twice = len(tokens) > 2 and tokens[-2] >= self.first_time  # noqa: PLR2004 - more than the pair
        return tokens[:-1] if ends_twice else tokens

    def prefix(self, language: str | None, task: str, *, timestamps: bool) -> list[int]:
        """What a transcript begins with.

        Args:
            language: its code; None for a model of one language.
            task: one of `TASKS`.
            timestamps: whether times are written.

        Raises:
            InputError: a language or a task of a model that is told none.
            UnknownNameError: a task that there is none of, or a language that the model has not.
        """
        require_known("task", task, TASKS)
        if not self.languages and (language is not None or task != TASKS[0]):
            raise InputError(
                "language, task: the model transcribes one language alone, and is told neither"
            )
        told = [self.start]
        if language is not None:
            told.append(self.languages[language_code(language, self.languages)])
        told += [self.tasks[task]] if task in self.tasks else []
        without = [] if self.no_timestamps is None or timestamps else [self.no_timestamps]
        return [*told, *without]


def _table(settings: Mapping[str, Any], key: str, vocab: int, where: str) -> dict[str, int]:
    """Ids of the vocabulary by name, without the marks of tokens."""
    given = settings.get(key) or {}
    if not isinstance(given, dict):
        raise CheckpointError(f"{where}: {key}: expected ids by name, got {given!r:.60}")
    for name in given:
        _one(given, name, vocab, f"{where}: {key}", needed=True)
    return {name.removeprefix("<|").removesuffix("|>"): number for name, number in given.items()}


def _ids(settings: Mapping[str, Any], key: str, vocab: int, where: str) -> tuple[int, ...]:
    """Ids of the vocabulary; others forbid nothing."""
    given = settings.get(key) or []
    if not isinstance(given, list):
        raise CheckpointError(f"{where}: {key}: expected a list of ids, got {given!r:.60}")
    return tuple(i for i in _whole(given, key, where) if 0 <= i < vocab)


def _one(
    settings: Mapping[str, Any], key: str, vocab: int, where: str, *, needed: bool = False
) -> int | None:
    """An id, or a number of ids, of the vocabulary; None where none is said nor needed."""
    given = settings.get(key)
    if (needed or given is not None) and (type(given) is not int or not 0 <= given < vocab):
        raise CheckpointError(f"{where}: {key}: expected 0 … {vocab - 1}, got {given!r:.60}")
    return given


def _whole(ids: list[Any], key: str, where: str) -> list[int]:
    if not all(type(number) is int for number in ids):
        raise CheckpointError(f"{where}: {key}: expected whole numbers, got {ids!r:.60}")
    return ids
