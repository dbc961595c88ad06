"""What models of pictures and sounds are asked: drawn values, in which every mistake must show.

There are faint values, whose vectors are small beside the terms inside roots, strong ones, at which
activations bend, and a picture of another size where that is taken. A decoder beside an encoder of
sounds is fed targets as beside one of texts.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lmkernel.errors import InputError
from lmkernel.random import uniforms
from lmkernel.verification.prompts import LEVELS, Prompts, decodings, drawn_target
from lmkernel.verification.sequences import Question, Row
from lmkernel.verification.structure import is_sequence_model, transformers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lmkernel.config import EmbeddingConfig, ModelConfig, PatchConfig, WaveConfig

__all__ = ["choose_sources", "with_pictures"]

_FAINT, _STRONG = 0.05, 3.0
_TARGETS, _SHORT = 24, 5
_FRAMES = 2
"""Frames that become one vector."""
_FIRST = 2
"""Tokens before a picture."""


def choose_sources(config: ModelConfig, level: str = "usual", *, pad: int | None = None) -> Prompts:
    """The rows and questions for a model that reads no tokens.

    Args:
        config: the model.
        level: one of `lmkernel.verification.prompts.LEVELS`.
        pad: the token that the target's padding is; no target holds it.

    Raises:
        InputError: an embedding of another kind, or other stacks than transformers.
    """
    transformers(config)
    if is_sequence_model(config):
        rows = list(_with_targets(config, level, pad))
    else:
        rows = list(_alone(config.embedding))
    questions = [Question(row.name, (row,)) for row in rows]
    one, other = rows[:2]
    if one.source is not None and other.source is not None and one.vectors == other.vectors:
        name = "padded on the right" if one.target else "two at once"
        questions.append(Question(name, (one, other), pad=pad or 0))
    if is_sequence_model(config):
        questions += decodings(config, rows)
    return Prompts(tuple(rows), tuple(questions), (), ())


def with_pictures(prompts: Prompts, config: ModelConfig) -> Prompts:
    """Prompts of tokens with a picture shown in each; they begin at 0 and are fed at once.

    Args:
        prompts: as for what reads the tokens.
        config: a decoder that is shown pictures.
    """
    rows = {row.name: _shown(row, config) for row in prompts.rows if not row.start}
    questions = tuple(
        replace(question, rows=tuple(rows[row.name] for row in question.rows))
        for question in prompts.questions
        if not question.prefill and all(row.name in rows for row in question.rows)
    )
    return replace(prompts, rows=tuple(rows.values()), questions=questions)


def _shown(row: Row, config: ModelConfig) -> Row:
    """A row with the tokens of a picture behind its first ones, and nowhere else."""
    sight = config.sight
    patches = sight and sight.pictures.embedding.patches
    if sight is None or patches is None:
        raise AssertionError("expected a decoder that is shown pictures")
    tokens = [i if i != sight.token else (i + 1) % config.embedding.vocab for i in row.ids]
    ids = (*tokens[:_FIRST], *[sight.token] * sight.count, *tokens[_FIRST:])
    made, _ = _picture(patches, row.name)
    factor = {"short": _FAINT, "long": _STRONG}.get(row.name, 1.0)
    return replace(row, ids=ids[: config.context or None], source=made * np.float32(factor))


def _with_targets(config: ModelConfig, level: str, pad: int | None) -> Iterator[Row]:
    """A sound each, with targets of several lengths."""
    long = min(LEVELS[level].usual, config.context or LEVELS[level].usual)
    counts = {"tokens": _TARGETS, "short": _SHORT, "long": long}
    for name, count in counts.items():
        target = drawn_target(config, name, min(count, long), pad)
        made, vectors = _drawn(config.embedding, name)
        yield Row(name, (), target=target, source=made, vectors=vectors)


def _alone(embedding: EmbeddingConfig) -> Iterator[Row]:
    """Pictures or sounds by themselves."""
    for name, factor in (("drawn", 1.0), ("faint", _FAINT), ("strong", _STRONG)):
        made, vectors = _drawn(embedding, name)
        yield Row(name, (), source=made * np.float32(factor), vectors=vectors)
    patches = embedding.patches
    if patches is not None and patches.resized:
        made, vectors = _picture(patches, "wide", more=(1, 2))
        yield Row("wide", (), source=made, vectors=vectors)


def _drawn(embedding: EmbeddingConfig, name: str) -> tuple[NDArray[np.float32], int]:
    """Values as an embedding reads them, and how many vectors they become."""
    if embedding.patches is not None:
        return _picture(embedding.patches, name)
    if embedding.waves is not None:
        return _samples(embedding.waves, name)
    bins = embedding.options.get("bins")
    if not isinstance(bins, int):
        raise InputError(f"expected an embedding of pictures or sounds, got {embedding.kind!r}")
    return _values(name, (_FRAMES * embedding.context, bins)), embedding.context


def _picture(
    patches: PatchConfig, name: str, more: tuple[int, int] = (0, 0)
) -> tuple[NDArray[np.float32], int]:
    """Pixels, with so many more patches down and along."""
    rows, columns = (n + m for n, m in zip(patches.grid, more, strict=True))
    height = patches.height + more[0] * patches.patch_height
    width = patches.width + more[1] * patches.patch_width
    return _values(name, (patches.channels, height, width)), rows * columns + patches.token


def _samples(waves: WaveConfig, name: str) -> tuple[NDArray[np.float32], int]:
    """Samples of a sound of which so many vectors are made."""
    vectors = {"faint": _SHORT, "strong": 2 * _TARGETS}.get(name, _TARGETS)
    count = waves.seen + (vectors - 1) * waves.stride
    return _values(name, (count, 1)), vectors


def _values(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Of mean 0 and variance 1, from a stream of that name."""
    drawn = uniforms(0, f"verify.source.{name}", math.prod(shape))
    made: NDArray[np.float32] = ((drawn - 0.5) * math.sqrt(12)).astype(np.float32).reshape(shape)
    return made
