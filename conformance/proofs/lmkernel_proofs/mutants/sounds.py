"""What ports get wrong of sounds: edges, mel filters, convolutions, rules, and long recordings."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.components.convolution import convolve
from lmkernel.speech import features, segments, spelling
from lmkernel.speech.rules import SpeechRules
from lmkernel.speech.vocabulary import SpeechTokens
from lmkernel_proofs.mutants.mutant import Mutant, Patch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MUTANTS"]

_mirrored, _filters, _blocks = features._mirrored, features.mel_filters, features.mel_blocks  # noqa: SLF001 - what is broken
_window_parts, _best_path = segments.window_parts, spelling.best_path
_rules, _prefix = SpeechRules.__call__, SpeechTokens.prefix


def _zeros_around(blocks: Any, half: int) -> Iterator[Any]:
    """Silence stands before the beginning and behind the end."""
    silence = np.zeros(half, np.float32)
    yield silence
    yield from blocks
    yield silence


def _last_frame(blocks: Any, settings: Any) -> Any:
    """The frame at the end of a sound is kept, too."""
    whole = np.concatenate(list(blocks))
    last = np.zeros(settings.hop, np.float32)
    return _blocks([whole, last], settings)


def _htk(settings: Any) -> Any:
    """Mels of HTK: 2595 · log10(1 + f / 700)."""
    top = 2595 * np.log10(1 + 8000 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, settings.bins + 2) / 2595) - 1)
    heard = np.linspace(0, settings.rate / 2, settings.window // 2 + 1)
    rising = (heard[:, None] - corners[:-2]) / np.diff(corners[:-1])
    falling = (corners[2:] - heard[:, None]) / np.diff(corners[1:])
    triangles = np.maximum(0, np.minimum(rising, falling))
    return triangles * (2 / (corners[2:] - corners[:-2]))


def _of_height_one(settings: Any) -> Any:
    """Triangles have the height 1 in place of the area 1."""
    filters = _filters(settings)
    mels = np.linspace(0, features._mels(8000.0), settings.bins + 2)  # noqa: SLF001 - a formula
    corners = features._hertz(mels)  # noqa: SLF001 - the same
    return filters * ((corners[2:] - corners[:-2]) / 2)


def _padded_by_a_window(samples: Any, settings: Any) -> Any:
    """A sound is padded by a window, not to one."""
    return features.log_mel(np.pad(samples, (0, settings.samples)), settings)


def _hann_both_ends(size: int) -> Any:
    """Hann's window begins and ends with 0."""
    return np.hanning(size)


def _each_frame_alone(found: Any, loudest: float) -> Any:
    """What is quiet is judged by the loudest band of the same frame."""
    del loudest
    raised = np.maximum(found, found.max(1, keepdims=True) - np.float32(8))
    return (raised + np.float32(4)) / np.float32(4)


def _strides_exchanged(ops: Any, x: Any, params: Any, stride: int = 1, edge: int = 0) -> Any:
    """The first convolution goes on by two frames, the second one by one."""
    return convolve(ops, x, params, 3 - stride, edge)


def _edge_before(ops: Any, x: Any, params: Any, stride: int = 1, edge: int = 0) -> Any:
    """All zeros of the edges stand before the beginning."""
    batch, _, width = x.shape
    zeros = ops.full((batch, 2 * edge, width), 0.0, ops.dtype(x))
    return convolve(ops, ops.concat([zeros, x], 1), params, stride)


def _kernel_backwards(ops: Any, x: Any, params: Any, stride: int = 1, edge: int = 0) -> Any:
    """A convolution by its textbook definition: the kernel runs backwards."""
    last = params["weight"].shape[2] - 1
    order = ops.asarray(list(range(last, -1, -1)), "int32")
    turned = {**params, "weight": ops.take(params["weight"], order, 2)}
    return convolve(ops, x, turned, stride, edge)


def _length_of_each_output(ops: Any, direction: Any, length: Any) -> Any:
    """A kernel is as long as is said for each of its outputs, not for each of its steps."""
    squares = ops.sum(ops.sum(direction * direction, 2, keepdims=True), 1, keepdims=True)
    return direction * (ops.reshape(length, (1, 1, -1)) / ops.sqrt(squares))


def _padding_heard(own: Any, positions: Any, count: int) -> Any:
    """Padding is heard like a sound."""
    row = own._ops.reshape(own._ops.arange(0, count, "int32"), (1, count))  # noqa: SLF001 - a method's
    return own._ops.broadcast_to(row, (positions.shape[0], count))  # noqa: SLF001 - the same


def _with_tokens(**changes: Any) -> Any:
    """Rules of other tokens."""

    def call(own: Any, scores: Any, answer: Any, /) -> Any:
        other = SpeechRules.__new__(SpeechRules)
        other.__dict__.update(own.__dict__, _tokens=replace(own._tokens, **changes))  # noqa: SLF001 - a method's
        return _rules(other, scores, answer)

    return call


def _first_at_all_times(own: Any, scores: Any, answer: Any, /) -> Any:
    """What may not begin a text may not be written at all."""
    changed = _rules(own, scores, answer)
    changed[list(own._tokens.first_suppressed)] = -np.inf  # noqa: SLF001 - a method's
    return changed


def _times_as_they_come(own: Any, scores: Any, answer: Any, first: int) -> None:
    """Times come in no order."""
    del own, answer
    scores[first - 1] = -np.inf


def _likeliest_single(scores: Any, first: int) -> None:
    """Text is written unless a single time is likelier."""
    if scores[first:].max(initial=-np.inf) > scores[:first].max():
        scores[:first] = -np.inf


def _times_always_off(own: Any, language: Any, task: str, *, timestamps: bool) -> list[int]:
    """A transcript always begins with the token of no times."""
    del timestamps
    return _prefix(own, language, task, timestamps=False)


def _english(own: Any, language: Any, task: str, *, timestamps: bool) -> list[int]:
    """Whatever is spoken is said to be English."""
    del language
    return _prefix(own, "en", task, timestamps=timestamps)


def _task_left_out(own: Any, language: Any, task: str, *, timestamps: bool) -> list[int]:
    """The model is not told what to do."""
    told = _prefix(own, language, task, timestamps=timestamps)
    return [token for token in told if token not in own.tasks.values()]


def _whole_windows(tokens: Any, first_time: int, window: Any) -> Any:
    """The next window begins where this one ends, whatever was left unfinished."""
    return _window_parts(tokens, first_time, window)[0], window.frames


def _one_after_the_other(rows: Any) -> list[int]:
    """What two windows say is said twice where they overlap."""
    return list(itertools.chain.from_iterable(rows))


def _never(own: Any, *given: float) -> bool:
    del own, given
    return False


def _repeats_of_all(logits: Any, blank: int) -> Any:
    """Letters that are equal become one although a blank stands between them."""
    found = _best_path(logits, blank)
    return [one for i, one in enumerate(found) if not i or found[i - 1].token != one.token]


def _mutant(row: int, name: str, level: str, where: str, broken: Any, seen: str = "") -> Mutant:
    patch = Patch(f"lmkernel.{where}", broken)
    return Mutant(id=name, level=level, patch=patch, row=row, seen=seen)


_FEATURES = "speech.features"
_RULES, _TOKENS = "speech.rules.SpeechRules", "speech.vocabulary.SpeechTokens"


def _heard(row: int, name: str, where: str, broken: Any, seen: str = "") -> Mutant:
    return _mutant(row, f"features.{name}", "components", f"{_FEATURES}.{where}", broken, seen)


def _written(row: int, name: str, where: str, broken: Any, seen: str = "") -> Mutant:
    return _mutant(row, f"speech.{name}", "generation", where, broken, seen)


MUTANTS = (
    _heard(35, "zeros_around", "_mirrored", _zeros_around, "TensorRT-Model-Connect#1282"),
    _heard(35, "last_frame", "mel_blocks", _last_frame, "TensorRT-Model-Connect#1282"),
    _heard(36, "htk", "mel_filters", _htk, "wenet#2141"),
    _heard(36, "of_height_one", "mel_filters", _of_height_one, "wenet#2141"),
    _heard(36, "hann_both_ends", "_hann", _hann_both_ends),
    _heard(36, "each_frame_alone", "audible", _each_frame_alone),
    _heard(36, "padded_by_a_window", "one_window", _padded_by_a_window, "whisper.cpp#1148"),
    _mutant(
        37,
        "frames.strides_exchanged",
        "components",
        "components.frames.convolve",
        _strides_exchanged,
    ),
    _mutant(37, "frames.edge_before", "components", "components.frames.convolve", _edge_before),
    _mutant(
        37, "frames.kernel_backwards", "components", "components.frames.convolve", _kernel_backwards
    ),
    _mutant(
        37,
        "waves.length_of_each_output",
        "components",
        "components.waves._with_lengths",
        _length_of_each_output,
    ),
    _mutant(
        37,
        "waves.padding_heard",
        "components",
        "components.waves.WaveEmbedding._own_positions",
        _padding_heard,
    ),
    _written(
        38,
        "nothing_suppressed",
        f"{_RULES}.__call__",
        _with_tokens(suppressed=()),
        "transformers#22465",
    ),
    _written(38, "first_not_suppressed", f"{_RULES}.__call__", _with_tokens(first_suppressed=())),
    _written(38, "first_at_all_times", f"{_RULES}.__call__", _first_at_all_times),
    _written(38, "first_time_late", f"{_RULES}.__call__", _with_tokens(latest_first=None)),
    _written(
        38,
        "times_as_they_come",
        f"{_RULES}._forbid_times",
        _times_as_they_come,
        "transformers#25916",
    ),
    _written(
        38, "likeliest_single", "speech.rules._prefer_times", _likeliest_single, "CTranslate2#1101"
    ),
    _written(38, "times_always_off", f"{_TOKENS}.prefix", _times_always_off),
    _written(38, "english", f"{_TOKENS}.prefix", _english),
    _written(38, "task_left_out", f"{_TOKENS}.prefix", _task_left_out),
    _written(39, "whole_windows", "speech.segments.window_parts", _whole_windows),
    _written(39, "one_after_the_other", "speech.chunks.joined_tokens", _one_after_the_other),
    _written(39, "silence_ignored", "speech.options.SpeechOptions.is_silent", _never),
    _written(39, "repetitions_taken", "speech.options.SpeechOptions.is_repetitive", _never),
    _written(38, "repeats_of_all", "speech.spelling.best_path", _repeats_of_all),
)
