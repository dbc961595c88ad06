"""Prompts that see: chosen from a model's configuration, so that a mistake in it must show.

Position 0 hides every scale of a softmax, a short prompt hides a window and a scaling of RoPE, a
row alone hides a mask, and all tokens at once hide a cache. So there is a row of special, rare and
last tokens; one beyond the sliding window, the original context and the usual sizes of chunks; one
at the end of the context, by its positions; rows of unequal length together, padded on either side;
and tokens fed one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.comparison.prompts import PROMPTS, fit_to_context, prompt_ids
from lmkernel.config import RelativeConfig
from lmkernel.errors import InputError
from lmkernel.inspection.inputs import check_ids
from lmkernel.random import raw_words
from lmkernel.verification.sequences import Question, Row
from lmkernel.verification.structure import is_sequence_model, top_transformer, transformers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel.config import HeadConfig, ModelConfig
    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = [
    "LEVELS",
    "Prompts",
    "choose_prompts",
    "decodings",
    "drawn_target",
    "recorded_prompts",
]

_TOKENS, _SHORT, _END, _STEPS, _BEYOND = 24, 5, 16, 8, 17
_SPECIAL = 8


@final
@dataclass(frozen=True)
class Level:
    """How much is asked.

    Args:
        usual: tokens of the long row, if nothing asks for more.
        most: the most tokens of the long row.
        texts: how many of the fixed prompts are asked, where there is a tokenizer.
    """

    usual: int
    most: int
    texts: int


LEVELS: Mapping[str, Level] = MappingProxyType(
    {
        "quick": Level(usual=40, most=96, texts=0),
        "usual": Level(usual=140, most=320, texts=2),
        "thorough": Level(usual=1100, most=4200, texts=6),
    }
)
"""How much is asked, by name."""


@final
@dataclass(frozen=True)
class Prompts:
    """What is asked.

    Args:
        rows: every sequence.
        questions: how they are laid out.
        unseen: what none of them can see, in sentences.
        texts: texts of which ids are compared, where there is a tokenizer.
    """

    rows: tuple[Row, ...]
    questions: tuple[Question, ...]
    unseen: tuple[str, ...]
    texts: tuple[str, ...]


def choose_prompts(
    config: ModelConfig,
    tokenizer: Tokenizer | None,
    level: str = "usual",
    *,
    texts: Sequence[str] = (),
    ids: Sequence[Sequence[int]] = (),
    pad: int | None = None,
) -> Prompts:
    """The rows and questions for a model.

    Args:
        config: the model.
        tokenizer: its own, or None.
        level: one of `LEVELS`.
        texts: prompts to be added.
        ids: prompts to be added, as token ids.
        pad: the token that an encoder-decoder's own padding is; no row holds it, since some tell
            padding by it, nor the token that takes no position in an encoder.

    Raises:
        InputError: texts without a tokenizer, or ids that the model does not take.
    """
    size = LEVELS[level]
    _, stack = top_transformer(config)
    special = sorted(tokenizer.special_ids) if tokenizer is not None else []
    length, unseen = _long(config, size)
    rows = [
        Row("tokens", _special_tokens(config, special)[: config.context or None]),
        Row("short", _random(config, "short", _SHORT)[: config.context or None]),
        Row("long", _random(config, "long", length)),
    ]
    both = is_sequence_model(config)
    if config.context > 2 * _TOKENS and not both:
        rows.append(Row("end", _random(config, "end", _END), config.context - _END))
    wanted = [*PROMPTS[:: len(PROMPTS) // size.texts][: size.texts]] if size.texts else []
    # of texts of our own the end will do; those that somebody adds are theirs to shorten
    own_ids = [] if tokenizer is None else [prompt_ids(tokenizer, one) for one in wanted]
    spoken = [_checked(config, fit_to_context(one, config.context, 0)) for one in own_ids]
    spoken += [_text_ids(config, tokenizer, one) for one in texts]
    rows += [Row(f"text {n}", one) for n, one in enumerate(spoken, 1)]
    rows += [Row(f"ids {n}", _checked(config, one)) for n, one in enumerate(ids, 1)]
    own, head = config.embedding.uncounted, config.head
    if head is not None and head.skipped is not None:
        ending = (*_random(config, "passed over", _SHORT), head.skipped)
        rows.append(Row("passed over", ending[-config.context :]))
    if head is not None and head.token is not None:
        # a text's vector is made at this token, so every text has it
        rows = [replace(row, ids=(*row.ids[:-1], head.token)) for row in rows]
    if both:
        rows = [_with_target(config, row, pad) for row in rows]
    elif own is not None:
        # who is told positions may look them up as they are
        rows = [replace(row, ids=_without(row.ids, own, config.embedding.vocab)) for row in rows]
    questions = [Question(row.name, (row,)) for row in rows]
    questions += _batches(rows, head, left=stack.causal and not both)
    questions += decodings(config, rows)
    compared = (*PROMPTS, *texts) if tokenizer is not None else ()
    return Prompts(tuple(rows), tuple(questions), tuple(unseen), compared)


def _with_target(config: ModelConfig, row: Row, pad: int | None) -> Row:
    """A row with what the decoder is fed: of another length than the source, and other tokens."""
    count = min(len(row.ids) * 2 // 3 + 3, config.context or len(row.ids) + 3)
    ids = _without(row.ids, pad, config.embedding.vocab)
    return replace(row, ids=ids, target=drawn_target(config, row.name, count, pad))


def drawn_target(config: ModelConfig, name: str, count: int, pad: int | None) -> tuple[int, ...]:
    """So many tokens for the decoder of a row of this name, none of which is padding's."""
    vocab = (config.target_embedding or config.embedding).vocab
    words = raw_words(0, f"verify.target.{name}", count)
    return _without([int(word) % vocab for word in words], pad, vocab)


def _without(ids: Sequence[int], pad: int | None, vocab: int) -> tuple[int, ...]:
    """The ids with another one in place of padding's."""
    return tuple(i if i != pad else (i + 1) % vocab for i in ids)


def recorded_prompts(config: ModelConfig, ids: Sequence[Sequence[int]]) -> Prompts:
    """The rows that a subject has answered already, each by itself; nothing else is asked.

    Raises:
        InputError: ids that the model does not take.
    """
    rows = tuple(Row(f"ids {n}", _checked(config, one)) for n, one in enumerate(ids, 1))
    unseen = ("what the subject's own prompts do not reach: it was asked before it came here",)
    return Prompts(rows, tuple(Question(row.name, (row,)) for row in rows), unseen, ())


def _long(config: ModelConfig, size: Level) -> tuple[int, list[str]]:
    """The length of the long row, and what it does not see."""
    stacks = transformers(config).values()
    windows = (s.layer(i).attention.window or 0 for s in stacks for i in range(s.layers))
    scaled = (r.original_context for r in config.embedding.rotaries if r.scaling != "none")
    tables = (e.relative for e in (config.embedding, config.target_embedding) if e is not None)
    far = (own.distance for own in tables if isinstance(own, RelativeConfig))
    edges = {
        "the farthest bucket of distances": max(far, default=0),
        "the sliding window": max(windows),
        "the original context of RoPE's scaling": max(scaled, default=0),
    }
    # dynamic scaling begins where the context ends
    beyond = _BEYOND if any(r.scaling == "dynamic" for r in config.embedding.rotaries) else 0
    length = min(
        max(size.usual, *(edge + _BEYOND for edge in edges.values())),
        size.most,
        config.context + beyond if config.context else size.most,
    )
    unseen = [
        f"no prompt is longer than {what}, {edge} tokens; see --thorough, or verify a twin"
        for what, edge in edges.items()
        if edge and edge >= length
    ]
    return length, unseen


def _batches(rows: Sequence[Row], head: HeadConfig | None, *, left: bool) -> list[Question]:
    """The short rows together; encoders are padded on the right alone, as they were trained.

    None for a model that reads a row's last token and names no padding, which others refuse.
    """
    pad = 0
    if head is not None and head.pooling == "last":
        if head.skipped is None:
            return []
        pad = head.skipped  # by which others find a row's end
    together = tuple(row for row in rows if row.name in ("tokens", "short"))
    sides: Any = ("left", "right") if left else ("right",)
    return [Question(f"padded on the {side}", together, side, pad=pad) for side in sides]


def decodings(config: ModelConfig, rows: Sequence[Row]) -> list[Question]:
    """Tokens fed one by one, where a model predicts tokens.

    Where RoPE turns differently in a longer row, a cache keeps keys as they were turned, and a row
    that is fed one by one is another than the same at once; so only a short one is.
    """
    pooled = config.head is not None and config.head.pooling != "none"
    if pooled or not top_transformer(config)[1].causal:
        return []
    changing = any(rotary.depends_on_length for rotary in config.embedding.rotaries)
    return _decodings(rows)[: 1 if changing else None]


def _decodings(rows: Sequence[Row]) -> list[Question]:
    by_name = {row.name: row for row in rows}
    tokens, long = by_name["tokens"], by_name["long"]
    return [
        Question("one by one", (tokens,), prefill=max(1, tokens.answers // 3)),
        Question("one by one, far", (long,), prefill=max(1, long.answers - _STEPS)),
    ]


def _special_tokens(config: ModelConfig, special: Sequence[int]) -> tuple[int, ...]:
    """Special tokens, the first and the last of the vocabulary, and any others."""
    vocab = config.embedding.vocab
    chosen = [i for i in special if i < vocab][:_SPECIAL] or [0, 1, 2]
    edges = [vocab - 1, vocab - 2, vocab // 2]
    drawn = _random(config, "tokens", max(1, _TOKENS - len(chosen) - len(edges)))
    mixed = [*drawn[:4], *chosen, *drawn[4:], *edges]
    return tuple(i % vocab for i in mixed)


def _random(config: ModelConfig, purpose: str, count: int) -> tuple[int, ...]:
    words = raw_words(0, f"verify.{purpose}", count)
    return tuple(int(word) % config.embedding.vocab for word in words)


def _text_ids(config: ModelConfig, tokenizer: Tokenizer | None, text: str) -> tuple[int, ...]:
    if tokenizer is None:
        raise InputError("prompts: expected ids, since the checkpoint has no tokenizer; got a text")
    return _checked(config, prompt_ids(tokenizer, text))


def _checked(config: ModelConfig, ids: Sequence[int]) -> tuple[int, ...]:
    rows = check_ids(config, list(ids)).ids
    if len(rows) > 1:
        raise InputError(f"ids: expected one sequence for each prompt, got {len(rows)} rows")
    return tuple(int(i) for i in rows[0])
