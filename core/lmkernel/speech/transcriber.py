"""Transcribes a sound window by window, each from where the last finished part ended.

Constraint: with the same settings the tokens and times are those of transformers' ``generate``.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, final

import numpy as np

from lmkernel.errors import CheckpointError, InputError
from lmkernel.speech.alignment import token_steps
from lmkernel.speech.chunks import chunks_of, joined_tokens
from lmkernel.speech.features import FeatureSettings, one_window
from lmkernel.speech.frames import SoundFrames
from lmkernel.speech.hearing import Heard, Hearing
from lmkernel.speech.languages import language_code
from lmkernel.speech.outcome import Attempt, Segment
from lmkernel.speech.own_settings import own_language, warn_of_speech_settings
from lmkernel.speech.reel import Reel
from lmkernel.speech.rules import SpeechRules
from lmkernel.speech.segments import Part, Window, window_parts
from lmkernel.speech.vocabulary import SpeechTokens
from lmkernel.speech.waves import feature_document
from lmkernel.speech.words import words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lmkernel.interfaces import Memory
    from lmkernel.language_model import LanguageModel
    from lmkernel.speech.options import SpeechOptions
    from lmkernel.speech.sound_files import AnySound

__all__ = ["Transcriber"]

_COLD = 0.5
"""Above this temperature, text is too much of a guess to be told to the next window."""


@final
class Transcriber:
    """A model that reads frames, and how it is asked.

    Args:
        model: the model.
        options: how a sound is transcribed.

    Raises:
        InputError: a model that reads no sounds, or what it can't be asked.
        CheckpointError: settings that contradict its sizes.
        UnknownNameError: a language that it has not.
    """

    def __init__(self, model: LanguageModel, options: SpeechOptions) -> None:
        source = model.config.embedding
        bins = source.options.get("bins")
        if not isinstance(bins, int) or not model.reads_sources:
            raise InputError(
                f"expected a model that hears windows of a sound, such as a Whisper model, got a "
                f"{model.origin.model_type} model"
            )
        where = f"{model.origin.where}: preprocessor_config.json"
        document = feature_document(model.origin)
        self.settings = FeatureSettings.of(document, where, bins)
        if self.settings.frames != 2 * source.context:
            usual = "" if document else ", the usual ones of a model without such a file"
            raise CheckpointError(
                f"{where}: chunk_length, hop_length: expected settings of {2 * source.context} "
                f"frames, which the model takes, got {self.settings.frames}{usual}"
            )
        self.tokens = SpeechTokens.of(model.origin)
        language = options.language
        if language is None and self.tokens.languages:
            language = own_language(model.origin)
        timestamps = options.timestamps and not options.chunked
        options = replace(options, language=language, timestamps=timestamps)
        self._model, self._options = model, options
        warn_of_speech_settings(model.origin)
        rules = SpeechRules(self.tokens, timestamps=options.timestamps)
        self.hearing = Hearing(
            model, self.tokens, rules, beams=options.num_beams, most=options.max_new_tokens
        )
        # a language or task that the model has not is an error before anything is computed
        self.tokens.prefix(options.language, options.task, timestamps=options.timestamps)
        self.prompt = self.tokens.prompt_ids(options.prompt, model.tokenizer)

    def language_of(self, memory: Memory) -> str | None:
        """The code of the language that is asked for, else of the one that the model hears."""
        languages, asked = self.tokens.languages, self._options.language
        if not languages or asked is not None:
            return language_code(asked, languages) if asked is not None else None
        logits = self.hearing.first_logits(memory, [self.tokens.start])[0]
        return max(languages, key=lambda code: logits[languages[code]])

    def prefix(self, language: str | None) -> list[int]:
        """What each transcript begins with."""
        options = self._options
        return self.tokens.prefix(language, options.task, timestamps=options.timestamps)

    def parts(self, sound: AnySound) -> Iterator[Part | str]:
        """The code of the language, and then the parts of each window."""
        size, options = self.settings.frames, self._options
        frames = SoundFrames(sound, self.settings)
        if not options.timestamps and frames.count > size:
            raise InputError(
                f"timestamps: a sound of more than {self.settings.seconds} s needs them, "
                "unless it is chunked"
            )
        before, attempt = [*self.prompt], None
        prefix: list[int] = []
        first = 0
        while first < frames.count:
            window = Window(first, min(size, frames.count - first))
            memory = self.hearing.encode(frames.window(first))
            if not prefix:
                language = self.language_of(memory)
                yield language or ""
                prefix = self.prefix(language)
            context = self.context(self.text_before(before, attempt))
            heard, attempt = self.heard(memory, context, prefix, first)
            parts, step = self.parts_of(heard, window)
            parts = [replace(part, attempt=attempt) for part in parts]
            if options.words and heard is not None:
                parts = self._timed(parts, heard, memory, [*context, *prefix], window)
            for part in parts:
                yield part
                before += self.tokens.without_second_time(part.tokens)
            first += step

    def _timed(
        self, parts: list[Part], heard: Heard, memory: Memory, prompt: list[int], window: Window
    ) -> list[Part]:
        """The same parts with the step at which each of their tokens begins to be spoken."""
        # what follows the last token is not known of one that the limit made the last
        aligned = heard.tokens if heard.ended else heard.tokens[:-1]
        if not aligned:
            return parts
        steps = token_steps(self._model, memory, prompt, aligned, steps=max(window.frames // 2, 1))
        steps += steps[-1:] * (len(heard.tokens) - len(steps))
        steps = [window.first / 2 + step for step in steps]
        timed = []
        for part in parts:  # one after the other, from the first token on
            timed.append(replace(part, steps=tuple(steps[: len(part.tokens)])))
            steps = steps[len(part.tokens) :]
        return timed

    def segment(self, part: Part, seconds: float, language: str = "") -> Segment:
        """A part as text, with times in seconds that end where the sound does.

        Args:
            part: the part.
            seconds: length of the sound.
            language: the code of what is spoken, which says what a word is.
        """
        step = 2 * self.settings.hop / self.settings.rate
        begin, end = (min(steps * step, seconds) for steps in (part.begin, part.end))
        last = self.tokens.last_text
        spoken = [(t, s) for t, s in zip(part.tokens, part.steps, strict=False) if t < last]
        times = [min(s * step, seconds) for _, s in spoken] + [max(end, begin)]
        words = words_of([t for t, _ in spoken], times, self._model.tokenizer.decode, language)
        return Segment(begin, end, self._text(part.tokens), part.tokens, words, part.attempt)

    def chunked(self, sound: AnySound) -> Iterator[Segment | str]:
        """The code of the language, and all that is spoken as one segment.

        Windows that overlap are heard as many at a time as there are in a batch.
        """
        settings, options = self.settings, self._options
        chunks = chunks_of(Reel(sound.blocks(settings.rate)), settings.samples)
        windows = (one_window(samples, settings) for samples in chunks)
        prefix: list[int] = []
        rows: list[tuple[int, ...]] = []
        while some := [*itertools.islice(windows, options.batch)]:
            memory = self.hearing.encode(np.stack(some))
            if not prefix:
                language = self.language_of(memory)
                yield language or ""
                prefix = self.prefix(language)
            rows += [heard.tokens for heard in self.hearing.hear(memory, prefix)]
        tokens = joined_tokens(rows)
        yield Segment(0.0, sound.seconds, self._text(tokens), tuple(tokens))

    def _text(self, tokens: Sequence[int]) -> str:
        """The text of tokens, those of times left out."""
        last = self.tokens.last_text
        return self._model.tokenizer.decode([t for t in tokens if t < last])

    def text_before(self, written: Sequence[int], latest: Attempt | None) -> Sequence[int]:
        """Tokens that the next window is told: what was written, or else the prompt alone.

        Args:
            written: the prompt and all parts up to here.
            latest: how the window before was heard, None before the first.
        """
        sure = latest is None or latest.temperature < _COLD
        return written if self._options.condition and sure else self.prompt

    def context(self, before: Sequence[int]) -> list[int]:
        """What was written before, so far as there is room, behind the token that says so."""
        if not before or self.tokens.previous is None:
            return []
        most = self._model.config.context // 2 - 1
        return [self.tokens.previous, *before[-most:]]

    def heard(
        self, memory: Memory, context: list[int], prefix: list[int], first: int = 0
    ) -> tuple[Heard | None, Attempt]:
        """What is heard at the first temperature that gives a text to be taken, and how.

        None where nothing is spoken.

        Args:
            memory: of the window.
            context: what it is told of before.
            prefix: what its transcript begins with.
            first: the first frame of the window.
        """
        options, prompt = self._options, [*context, *prefix]
        begin = first * self.settings.hop / self.settings.rate
        silent = self._silence(memory, [*context, prefix[0]])
        for temperature in options.temperatures:
            [heard] = self.hearing.hear(memory, prompt, temperature=temperature, seed=options.seed)
            attempt = Attempt(begin, temperature, heard.log_prob, silent)
            if options.is_silent(heard.log_prob, silent):
                return None, attempt
            if options.is_likely(heard.log_prob) and not options.is_repetitive(heard.ratio):
                break
        return heard, attempt

    def _silence(self, memory: Memory, prompt: list[int]) -> float:
        """The probability that nothing is spoken."""
        if self._options.most_silent is None or self.tokens.no_timestamps is None:
            return 0.0
        logits = self.hearing.first_logits(memory, prompt)[0].astype(np.float64)
        shares = np.exp(logits - logits.max())
        return float(shares[self.tokens.no_timestamps - 1] / shares.sum())

    def parts_of(self, heard: Heard | None, window: Window) -> tuple[list[Part], int]:
        """The parts of a window, and how many frames the next window begins later."""
        if heard is None:
            return [], window.frames
        if not self._options.timestamps:
            begin, end = window.first / 2, (window.first + window.frames) / 2
            return [Part(begin, end, heard.tokens)], window.frames
        return window_parts(heard.tokens, self.tokens.first_time, window)
