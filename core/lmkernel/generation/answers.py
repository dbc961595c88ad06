"""A language model's answers to rows of ids, which an encoder reads where there is one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lmkernel.errors import InputError
from lmkernel.generation.beams import beam_search
from lmkernel.generation.checkpoint import decoder_start, own_options, own_settings
from lmkernel.generation.decoding import pad_rows
from lmkernel.generation.likelihood import log_prob
from lmkernel.generation.options import GenerationOptions
from lmkernel.generation.tokens import generate_steps, generate_tokens
from lmkernel.model.feeding import pad_left
from lmkernel.model.sight import row_pictures
from lmkernel.structured import Grammar, json_grammar

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from lmkernel.generation.requests import Adjust
    from lmkernel.generation.text import Scored, TextGeneration
    from lmkernel.interfaces import Memory
    from lmkernel.language_model import LanguageModel
    from lmkernel.prompts import Prompt

__all__ = ["asked_options", "encoded_rows", "fill_answers", "scored_tokens", "token_rows"]

_FORCED = ("forced_bos_token_id", "forced_eos_token_id")


def asked_options(
    model: LanguageModel, options: object, changes: Mapping[str, Any]
) -> GenerationOptions:
    """The options that hold, with ids of this vocabulary.

    Without options, an encoder-decoder answers as its own settings say, so far as no change says
    otherwise; tokens that they force are forced in any case.
    """
    own: dict[str, Any] = {}
    if model.reads_sources:
        own = own_options(own_settings(model.origin), model.origin.where)
    if changes.get("temperature"):  # what is drawn has no beams
        own.pop("num_beams", None)
    if options is not None:
        own = {name: own[name] for name in _FORCED if name in own}
        own = {n: v for n, v in own.items() if not getattr(options, n, None)}
    asked = GenerationOptions.of(options, {**own, **changes})
    if asked.stop_strings and model.origin.has_tokenizer:
        asked = asked.with_special_stops(model.tokenizer)
    asked.check_ids((model.config.target_embedding or model.config.embedding).vocab)
    return asked


def encoded_rows(
    model: LanguageModel, rows: Sequence[Prompt]
) -> tuple[list[list[int]], Memory | None]:
    """What a decoder goes on from for each row, and what was made of sources or of pictures.

    Args:
        model: with an encoder, which reads the rows, or without.
        rows: the prompt of each.
    """
    if not model.reads_sources:
        pixels = [row.pixels for row in rows]
        return [row.ids for row in rows], row_pictures(model.model, model.params, pixels)
    tokens, positions = pad_rows([row.ids for row in rows])
    # few shapes, where each is compiled
    tokens, positions = pad_left(tokens, positions, model.model.slots(tokens.shape[1]))
    memory = model.model.encode(model.params, tokens, positions)
    first = decoder_start(model.origin)
    return [[first] for _ in rows], memory


def _masks(model: LanguageModel, options: GenerationOptions, rows: int) -> list[Adjust]:
    """The masks that keep each row to the options' schema; none where there is none.

    Raises:
        InputError: no answer can be kept to the schema.
        MissingDependencyError: llguidance is not installed.
    """
    if options.json_schema is None:
        return []
    grammar = Grammar(model.grammar_tokenizer, json_grammar(options.json_schema))
    return [grammar.mask() for _ in range(rows)]


def scored_tokens(
    model: LanguageModel,
    prompt: Prompt,
    options: GenerationOptions,
    ends: Collection[int],
    adjust: Sequence[Adjust] = (),
) -> Iterator[Scored]:
    """The tokens of one answer with their log-probabilities, as they are asked for."""
    return _scored(model, prompt, options, ends, adjust or _masks(model, options, 1))


def _scored(
    model: LanguageModel,
    prompt: Prompt,
    options: GenerationOptions,
    ends: Collection[int],
    adjust: Sequence[Adjust],
) -> Iterator[Scored]:
    prompts, memory = encoded_rows(model, [prompt])
    if options.num_beams > 1:
        [best] = beam_search(
            model.model, model.params, prompts, options, end_ids=ends, memory=memory
        )
        yield from zip(best.tokens, best.log_probs, strict=True)
        return
    for step in generate_steps(
        model.model,
        model.params,
        prompts,
        options,
        ends=lambda _, token: token in ends,
        end_ids=ends,
        memory=memory,
        adjust=adjust,
    ):
        token = step.tokens[0]
        if token is not None:
            yield token, log_prob(step.logits[0], token)


def token_rows(
    model: LanguageModel, prompts: Sequence[Prompt], options: GenerationOptions
) -> Iterator[list[int | None]]:
    """One token for each row at each step; see `generate_tokens`."""
    rows, memory = encoded_rows(model, prompts)
    return generate_tokens(
        model.model,
        model.params,
        rows,
        options,
        end_ids=model.end_ids,
        memory=memory,
        adjust=_masks(model, options, len(rows)),
    )


def fill_answers(
    model: LanguageModel,
    rows: Sequence[Prompt],
    options: GenerationOptions,
    answers: Sequence[TextGeneration],
    ends: Collection[int],
) -> None:
    """Generate the answers to several rows at once, and end them.

    Args:
        model: which answers.
        rows: the prompt of each.
        options: of the generation.
        answers: one for each row, empty yet; they end where a stop string does.
        ends: the tokens that end an answer.
    """
    if len(rows) != len(answers):
        raise InputError(f"expected {len(rows)} answers, got {len(answers)}")
    begun = time.perf_counter()
    prompts, memory = encoded_rows(model, rows)
    if options.num_beams > 1:
        found = beam_search(
            model.model, model.params, prompts, options, end_ids=ends, memory=memory
        )
        spent = time.perf_counter() - begun
        for answer, beam in zip(answers, found, strict=True):
            for scored in zip(beam.tokens, beam.log_probs, strict=True):
                if not answer.finished:
                    answer.push(*scored, seconds=spent / len(beam.tokens))
            answer.close()
        return
    for step in generate_steps(
        model.model,
        model.params,
        prompts,
        options,
        ends=lambda row, _: answers[row].finished,
        end_ids=ends,
        memory=memory,
        adjust=_masks(model, options, len(rows)),
    ):
        before, begun = begun, time.perf_counter()
        for answer, token, logits in zip(answers, step.tokens, step.logits, strict=True):
            if token is not None:
                answer.push(token, log_prob(logits, token), seconds=begun - before)
    for answer in answers:
        answer.close()
