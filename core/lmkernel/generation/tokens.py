"""Tokens after prompts, chosen as the options say."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from lmkernel.errors import InputError
from lmkernel.generation.beams import beam_search
from lmkernel.generation.constraints import Constraints
from lmkernel.generation.decoding import decode, room
from lmkernel.generation.lookup import PromptLookup
from lmkernel.generation.sampling import sample

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Tree
    from lmkernel.generation.decoding import Step
    from lmkernel.generation.options import GenerationOptions
    from lmkernel.generation.requests import Adjust
    from lmkernel.interfaces import Memory
    from lmkernel.model import Model

__all__ = ["generate_steps", "generate_tokens"]


def generate_steps(
    model: Model,
    params: Tree,
    prompts: Sequence[Sequence[int]],
    options: GenerationOptions,
    *,
    ends: Callable[[int, int], bool],
    end_ids: Collection[int] = (),
    memory: Memory | None = None,
    adjust: Sequence[Adjust] = (),
) -> Iterator[Step]:
    """The steps of `decode`, with tokens sampled as the options say; arguments as there.

    ``end_ids`` are those that end an answer, as far as options forbid or force them; ``adjust``
    changes the logits of each row first, as the mask of a schema does.

    Raises:
        InputError: options have a schema, of which no mask was made.
    """
    constraints = Constraints(options, end_ids)
    if options.json_schema is not None and not adjust:
        raise InputError("json_schema: expected a model with a tokenizer, or a mask in `adjust`")

    def choose(logits: NDArray[Any], *, history: Sequence[int], row: int, step: int) -> int:
        limit = room(model, len(history) - step, options.max_new_tokens)
        if adjust:
            logits = adjust[row](logits, history[len(history) - step :])
        allowed = constraints.apply(logits, history, step=step, limit=limit)
        return sample(allowed, options, history=history, row=row, step=step)

    guesses = options.prompt_lookup_num_tokens
    return decode(
        model,
        params,
        prompts,
        limit=options.max_new_tokens,
        choose=choose,
        ends=ends,
        memory=memory,
        lookup=PromptLookup(model, params, guesses) if guesses else None,
    )


def generate_tokens(
    model: Model,
    params: Tree,
    prompts: Sequence[Sequence[int]],
    options: GenerationOptions,
    *,
    end_ids: Collection[int] = (),
    memory: Memory | None = None,
    adjust: Sequence[Adjust] = (),
) -> Iterator[list[int | None]]:
    """Yield one token for each row at each step; None for a row that has ended.

    With beams, all tokens are chosen before the first ones are yielded. Each row ends at one of
    ``end_ids`` or of ``options.stop_ids``, after ``max_new_tokens``, or where the context is full.

    Args:
        model: a model with a decoder.
        params: its parameters, from `Model.pack` or `Model.place`.
        prompts: token ids of each row, at least one each.
        options: the options of the generation.
        end_ids: tokens of the model's own end; ``options.ignore_eos`` passes over them.
        memory: each row's encoded source, for an encoder-decoder.
        adjust: what changes the logits of each row before a token is chosen.

    Raises:
        InputError: an empty prompt, or one that fills the context.
    """
    last = options.end_ids(end_ids)
    if options.num_beams > 1:
        best = beam_search(model, params, prompts, options, end_ids=last, memory=memory)
        return (list(column) for column in zip_longest(*(beam.tokens for beam in best)))
    steps = generate_steps(
        model,
        params,
        prompts,
        options,
        ends=lambda _, token: token in last,
        end_ids=last,
        memory=memory,
        adjust=adjust,
    )
    return (step.tokens for step in steps)
