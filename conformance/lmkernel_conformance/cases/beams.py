"""Beams, and what forbids tokens or forces them, against the definitions."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.generation import GenerationOptions, checkpoint
from lmkernel.generation.beams import beam_search
from lmkernel.generation.constraints import Constraints
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.zoo import ZOO, build_model, values
from lmkernel_conformance.definitions import beams as defined
from lmkernel_conformance.inputs import tokens
from lmkernel_conformance.oracle import model
from lmkernel_conformance.oracle.activation import log_softmax
from lmkernel_conformance.oracle.arithmetic import Arithmetic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lmkernel.generation.beams import Beam
    from lmkernel_conformance.subject import Subject

Host = Any

_MODEL = "olmo2"
"""Without a tied head, by which a token would be likeliest to follow itself."""
_PROMPTS, _LIMIT, _BEAMS, _VOCAB = 8, 6, 3, 31
_GAP = 1e-4
"""Scores that lie nearer are not told apart in float32: hundreds of its errors."""
_ENDS = (4, 13, 22, 27)
_ASKED: tuple[dict[str, Any], ...] = (
    {},
    {"length_penalty": 0.0},
    {"length_penalty": 2.5},
    {"length_penalty": 2.5, "early_stopping": True},
    {"length_penalty": 2.5, "early_stopping": "never"},
    {"length_penalty": -1.0},
)


def _log_probs(s: Subject) -> Callable[[Sequence[int]], Host]:
    """The oracle's log-probabilities of what follows a row, each row computed once."""
    ar, known = Arithmetic(), dict[tuple[int, ...], Host]()
    hosts = {n: np.asarray(x, np.float64) for n, x in values(s, _MODEL).items()}

    def after(row: Sequence[int]) -> Host:
        key = tuple(row)
        if key not in known:
            logits = model.forward(ar, ZOO[_MODEL], hosts, np.array([row]))
            known[key] = log_softmax(ar, logits[0, -1])
        return known[key]

    return after


def _clear(after: Callable[[Sequence[int]], Host]) -> Iterator[tuple[list[int], list[list[int]]]]:
    """Prompts whose answers rounding does not decide, each with those to all that is asked."""
    for number in itertools.count():
        prompt = [int(t) for t in tokens(f"beams.{number}", 2 + number % 4, vocab=_VOCAB)]
        try:
            answers = [
                defined.search(
                    after, prompt, beams=_BEAMS, limit=_LIMIT, ends=_ENDS, gap=_GAP, **asked
                )
                for asked in _ASKED
            ]
        except defined.NotClearError:
            continue
        yield prompt, answers


def _found(s: Subject, prompts: list[list[int]], asked: dict[str, Any]) -> list[Beam]:
    own = build_model(s, _MODEL)
    options = GenerationOptions(max_new_tokens=_LIMIT, num_beams=_BEAMS, **asked)
    return beam_search(own, own.pack(values(s, _MODEL)), prompts, options, end_ids=_ENDS)


@case(level="generation", id="beams", rows=(25, 40))
def beams(s: Subject) -> None:
    """Of three beams the best answer, by each penalty of lengths and each way to stop, in a batch.

    A prompt alone and beside others of other lengths has the same answer. Each token has the
    probability that it has behind its own row.
    """
    after = _log_probs(s)
    chosen = list(itertools.islice(_clear(after), _PROMPTS))
    prompts = [prompt for prompt, _ in chosen]
    for number, asked in enumerate(_ASKED):
        found, want = _found(s, prompts, asked), [answers[number] for _, answers in chosen]
        got = [list(beam.tokens) for beam in found]
        s.demand(f"answers with {asked}", expected=want, got=got)
        for prompt, beam in zip(prompts, found, strict=True):
            for i, token in enumerate(beam.tokens):
                apart = abs(beam.log_probs[i] - float(after([*prompt, *beam.tokens[:i]])[token]))
                what = f"log-probability of token {i} after {prompt}, off by {apart:.2g}"
                s.demand(what, expected=True, got=apart < _GAP)
    (alone,) = _found(s, prompts[:1], _ASKED[2])
    s.demand("one alone", expected=chosen[0][1][2], got=list(alone.tokens))


def _forbidden(history: list[int], *, step: int, limit: int = 9, **options: Any) -> list[int]:
    """The tokens of ten that may not be written; the end is 9."""
    own = Constraints(GenerationOptions(**options), (9,))
    changed = own.apply(np.zeros(10), history, step=step, limit=limit)
    return [int(t) for t in np.flatnonzero(changed == -np.inf)]


@case(level="generation", id="constraints", dtypes=("float32",), rows=(41,))
def constraints(s: Subject) -> None:
    """The first and the last token forced, no repeated runs, bad words, and no early end."""
    others = [0, 1, 2, 3, 4, 5, 6, 8, 9]
    first, last = {"forced_bos_token_id": 7}, {"forced_eos_token_id": 7}
    runs, pairs = {"no_repeat_ngram_size": 3}, {"no_repeat_ngram_size": 2}
    bad: dict[str, Any] = {"bad_words_ids": [[3], [5, 6], [1, 2, 4]]}
    least = {"min_new_tokens": 3}
    asked: list[tuple[str, list[int], list[int]]] = [
        ("first, behind the start", others, _forbidden([2], step=0, **first)),
        ("second", [], _forbidden([2, 7], step=1, **first)),
        ("behind a longer prompt", [], _forbidden([2, 3], step=0, **first)),
        ("last", others, _forbidden([2, 3, 4], step=8, **last)),
        ("before the last", [], _forbidden([2, 3, 4], step=7, **last)),
        ("a run of three", [4], _forbidden([1, 2, 3, 4, 8, 2, 3], step=2, **runs)),
        ("two equal tokens are no run of three", [], _forbidden([2, 3, 2], step=2, **runs)),
        ("pairs", [3, 8], _forbidden([2, 3, 2, 8, 2], step=2, **pairs)),
        ("bad words", [3, 6], _forbidden([1, 5], step=1, **bad)),
        ("a longer one", [3, 4], _forbidden([8, 1, 2], step=1, **bad)),
        ("no end yet", [9], _forbidden([2, 3], step=2, **least)),
        ("an end", [], _forbidden([2, 3], step=3, **least)),
    ]
    for what, expected, got in asked:
        s.demand(f"forbidden: {what}", expected=expected, got=got)


@case(level="generation", id="start", dtypes=("float32",), rows=(41,))
def start(s: Subject) -> None:
    """A decoder begins with what its files name, else with what a tokenizer begins with."""
    tokenizer = SimpleNamespace(bos_id=None, pad_id=0, eos_ids=(1,))
    described = SimpleNamespace(values={})
    for settings, bos, expected in (
        ({"decoder_start_token_id": 5}, 3, 5),
        ({"forced_bos_token_id": 5}, 3, 3),
        ({"forced_bos_token_id": 5}, None, 0),
    ):
        tokenizer.bos_id = bos
        origin: Any = SimpleNamespace(
            generation_config=settings,
            described=described,
            tokenizer=tokenizer,
            config=ZOO["t5"],
            where="a model",
        )
        s.demand(
            f"the start by {settings}", expected=expected, got=checkpoint.decoder_start(origin)
        )
