"""What a model spells of a sound, letter by letter (Graves et al. 2006, §3.2: best path)."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import CheckpointError, InputError, shown
from lmkernel.speech.options import SpeechOptions
from lmkernel.speech.outcome import Segment
from lmkernel.speech.reel import Reel
from lmkernel.speech.waves import WaveSettings
from lmkernel.speech.words import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.language_model import LanguageModel
    from lmkernel.speech.sound_files import AnySound
    from lmkernel.tokenizers import Tokenizer

__all__ = ["Speller", "Spelt", "best_path", "segments_of_words", "spelt_words"]

_SECONDS = 20
"""How much is heard at once."""
_MOST_SAMPLES = _SECONDS * 48_000
"""As many at any rate, since memory grows with them."""
_PAUSE = 0.6
"""Seconds without a letter that part one segment from the next."""
_TAKEN = frozenset(("words", "timestamps"))
"""The options that are of use where a text comes by itself."""


@final
@dataclass(frozen=True)
class Spelt:
    """A token of the best path.

    Args:
        token: its id.
        begin: the step at which it is first said.
        end: the one after that at which it is last said.
    """

    token: int
    begin: int
    end: int


def best_path(logits: NDArray[Any], blank: int) -> list[Spelt]:
    """The likeliest token of each step ``(steps, classes)``, repeated ones once, without blanks."""
    found, at = [], 0
    for token, run in itertools.groupby(logits.argmax(-1).tolist()):
        begin, at = at, at + sum(1 for _ in run)
        if token != blank:
            found.append(Spelt(token, begin, at))
    return found


def spelt_words(
    path: Sequence[Spelt], delimiter: int | None, decode: Callable[[list[int]], str], step: float
) -> list[tuple[Word, tuple[int, ...]]]:
    """The words of a path with their tokens.

    Args:
        path: from `best_path`.
        delimiter: the token between words.
        decode: gives the text of tokens.
        step: seconds from one step to the next.
    """
    found = []
    for between, run in itertools.groupby(path, lambda one: one.token == delimiter):
        letters = list(run)
        text = decode([one.token for one in letters])
        if not between and text:
            word = Word(letters[0].begin * step, letters[-1].end * step, f" {text}")
            found.append((word, tuple(one.token for one in letters)))
    return found


@final
class Speller:
    """A model that spells what it hears, and how it is asked.

    Args:
        model: the model.
        options: how a sound is transcribed; only ``words`` and ``timestamps`` are of use.

    Raises:
        InputError: a model that reads no samples, or an option that is for another kind of model.
        CheckpointError: settings in its files that make no sense.
    """

    def __init__(self, model: LanguageModel, options: SpeechOptions) -> None:
        self.settings = WaveSettings.of(model.origin)
        if model.config.head is None or model.config.head.blank is None:
            raise InputError(
                "expected a model that spells what it hears, which "
                "finetune --objective transcripts makes of this one"
            )
        self._blank = model.config.head.blank
        padding = model.tokenizer.pad_id
        if padding not in (None, self._blank):
            raise CheckpointError(
                f"{model.origin.where}: pad_token: expected the token of config.json's "
                f"pad_token_id, {self._blank}, which stands between letters, got that of {padding}"
            )
        usual = SpeechOptions()
        for name in {field.name for field in fields(SpeechOptions)} - _TAKEN:
            if getattr(options, name) != getattr(usual, name):
                raise InputError(
                    f"{name}: expected none for a model that spells what it hears, "
                    f"got {shown(getattr(options, name))}"
                )
        self._model, self._options = model, options
        # what stands for no letter is written as the token that it is, as transformers writes it
        self._decode = functools.partial(model.tokenizer.decode, skip_special=False)
        self._delimiter = _between_words(model.tokenizer)

    def logits(self, samples: NDArray[np.float32]) -> NDArray[Any]:
        """What the model says at each step ``(steps, classes)`` of samples ``(count,)``."""
        model, waves = self._model.model, self.settings.waves
        steps = waves.count(len(samples))
        # padding is seen by nobody but a norm over time; where there is none, few lengths are
        # compiled
        whole = self.settings.rate if waves.norm == "layer" else 1
        count = -(-len(samples) // whole) * whole
        padded = np.pad(samples, (0, count - len(samples)))
        positions = np.where(np.arange(count) < len(samples), np.arange(count), -1)
        ops = model.backend.ops
        with model.backend.scope(), model.backend.inference():
            found = model.compiled_forward(
                self._model.params,
                ops.asarray(padded[None, :, None], model.policy.compute),
                positions=ops.asarray(positions[None].astype(np.int32), "int32"),
            )
            logits: NDArray[Any] = ops.to_numpy(found)[0, :steps]
        return logits

    def words(self, sound: AnySound) -> Iterator[tuple[Word, tuple[int, ...]]]:
        """Each word with its tokens, window by window.

        A window's last word may be cut, so the next window begins in the gap before it.
        """
        settings, first = self.settings, 0
        size = min(_SECONDS * settings.rate, _MOST_SAMPLES)
        samples = Reel(settings.blocks(sound))
        while len(window := samples.take(first, size + 1)) >= settings.waves.seen:
            last, window = len(window) <= size, window[:size]
            path = best_path(self.logits(window), self._blank)
            found = spelt_words(path, self._delimiter, self._decode, settings.step)
            heard = len(window) / settings.rate
            if not last and len(found) > 1:
                heard = (found[-2][0].end + found[-1][0].begin) / 2
                found = found[:-1]
            offset = first / settings.rate
            for word, tokens in found:
                yield Word(word.begin + offset, word.end + offset, word.text), tokens
            first += max(round(heard * settings.rate), 1)

    def segments(self, sound: AnySound) -> Iterator[Segment]:
        """What is spoken between pauses, as soon as it is settled."""
        pause = _PAUSE if self._options.timestamps else float("inf")
        yield from segments_of_words(self.words(sound), pause, words=self._options.words)


def _between_words(tokenizer: Tokenizer) -> int | None:
    """The token between words; None of a vocabulary without one, whose texts are a word each."""
    try:
        ids = tokenizer.encode(" ", special_tokens=False)
    except InputError:
        return None
    return ids[0] if ids and ids[0] not in tokenizer.special_ids else None


def segments_of_words(
    found: Iterator[tuple[Word, tuple[int, ...]]], pause: float, *, words: bool
) -> Iterator[Segment]:
    """Words as segments.

    Args:
        found: each word with its tokens.
        pause: seconds between words that part segments.
        words: whether a segment keeps its words.
    """
    held: list[tuple[Word, tuple[int, ...]]] = []
    for one in found:
        if held and one[0].begin - held[-1][0].end >= pause:
            yield _segment(held, words=words)
            held = []
        held.append(one)
    if held:
        yield _segment(held, words=words)


def _segment(held: Sequence[tuple[Word, tuple[int, ...]]], *, words: bool) -> Segment:
    said = tuple(word for word, _ in held)
    tokens = tuple(token for _, own in held for token in own)
    text = "".join(word.text for word in said)
    return Segment(said[0].begin, said[-1].end, text, tokens, said if words else ())
