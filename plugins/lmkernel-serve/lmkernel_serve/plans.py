"""From a document to what the model is asked."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.generation import GenerationOptions, Request
from lmkernel.inspection.inputs import refuse_long
from lmkernel.structured import template_thinks
from lmkernel_serve.adjusting import adjustments, chain, check_ids
from lmkernel_serve.conversations import prompt_of_chat
from lmkernel_serve.errors import ApiError
from lmkernel_serve.response_documents import chat_document_of
from lmkernel_serve.structure import structure_of, tools_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.generation import Adjust
    from lmkernel.structured import CallFormat
    from lmkernel_serve.documents import ChatDocument, CompletionDocument, SamplingDocument
    from lmkernel_serve.response_documents import ResponseDocument
    from lmkernel_serve.served import Served

__all__ = ["Plan", "plan_chat", "plan_completion", "plan_response"]

_OPEN = 4096
"""The most tokens of an answer where neither request nor context has a limit."""
_COMPLETION = 16
"""As many as OpenAI's own completions have by default."""
_MOST_PROMPTS = 2048
"""Of one request: all are read before any of them waits."""


@final
@dataclass(frozen=True)
class Plan:
    """Requests to a model, and how their answers are read.

    Args:
        requests: one for each prompt.
        prompts: the text of each prompt where answers repeat it or say where in it and them a
            token stands; else none.
        continues: whether an answer's text goes on from that of its prompt.
        logprobs: how many alternatives are shown for each token; None for no log-probabilities.
        stream: whether pieces are sent as they come.
        include_usage: whether a stream ends with the number of its tokens.
        calls: how calls of tools are written in an answer; None where there are none.
        thinks_after: the prompt of an answer that may begin with a thought; None where none may.
        begun: the text that an answer has begun with already.
        kept: how many of each prompt's answers are given, the likeliest; 0 for all.
        echo: whether answers repeat their prompts.
    """

    requests: Sequence[Request]
    prompts: Sequence[str]
    continues: bool
    logprobs: int | None
    stream: bool
    include_usage: bool
    calls: CallFormat | None = None
    thinks_after: str | None = None
    begun: str = ""
    kept: int = 0
    echo: bool = False


def plan_chat(served: Served, document: ChatDocument, answer: Sequence[int] = ()) -> Plan:
    """A conversation's next message.

    Args:
        served: who answers.
        document: what is asked.
        answer: the ids that the message has begun with already.

    Raises:
        ApiError, LmkernelError: what is asked for cannot be had.
    """
    if document.top_logprobs is not None and not document.logprobs:
        raise ApiError("top_logprobs: expected logprobs to be true", param="top_logprobs")
    tools = tools_of(document)
    prompt = prompt_of_chat(served, document, tools)
    ids = [*prompt.ids, *answer]
    if answer:
        check_ids(served, answer, "answer")
    shown = (document.top_logprobs or 0) if document.logprobs else None
    if document.max_tokens == 0:
        raise ApiError("max_tokens: expected at least 1, got 0", param="max_tokens")
    most = document.max_completion_tokens or document.max_tokens or _rest(served, ids)
    options = _options(served, document, most)
    structure, choices = structure_of(served, document, tools), _choices(served, document)
    grammar = structure.grammar
    if answer and grammar:
        raise ApiError("answer: expected neither tools nor a schema beside it", param="answer")
    masks = [grammar.mask() for _ in range(choices)] if grammar else ()
    request = _request(served, document, ids, options, shown, choices, score=False, masks=masks)
    request = replace(request, pixels=prompt.pixels)
    plan = _plan(document, [request], [], continues=bool(answer), logprobs=shown)
    # a grammar that holds from the first token on leaves no room for a thought
    tokenizer = served.model.tokenizer
    thinks = structure.free and template_thinks(tokenizer.chat_template or "")
    return replace(
        plan,
        calls=structure.calls,
        thinks_after=tokenizer.decode(prompt.ids, skip_special=False) if thinks else None,
        begun=tokenizer.decode(answer) if answer else "",
    )


def plan_response(
    served: Served, document: ResponseDocument, messages: Sequence[dict[str, Any]]
) -> Plan:
    """The next items of a conversation.

    Args:
        served: who answers.
        document: what was sent.
        messages: of the whole conversation, without instructions.

    Raises:
        ApiError, LmkernelError: what is asked for cannot be had.
    """
    try:
        return plan_chat(served, chat_document_of(document, messages))
    except ApiError as error:
        if error.param != "response_format":
            raise
        said = str(error).removeprefix("response_format: ")
        raise ApiError(f"text.format: {said}", param="text.format") from error


def plan_completion(served: Served, document: CompletionDocument) -> Plan:
    """Continuations of one prompt or several.

    Raises:
        ApiError, LmkernelError: what is asked for cannot be had.
    """
    most = _COMPLETION if document.max_tokens is None else document.max_tokens
    if not most and not document.echo:
        raise ApiError("max_tokens: expected at least 1, or echo", param="max_tokens")
    score = bool(document.echo and document.logprobs is not None) or not most
    options = _options(served, document, max(most, 1))
    choices, kept = _best_of(served, document)
    requests, texts = [], []
    for prompt in _prompts(document.prompt):
        if isinstance(prompt, str):
            refuse_long(served.model, prompt)
        ids = served.model.token_ids(prompt) if isinstance(prompt, str) else list(prompt)
        if not ids:
            raise ApiError("prompt: expected at least one token", param="prompt")
        check_ids(served, ids, "prompt")
        made = choices if most else 0
        requests.append(
            _request(served, document, ids, options, document.logprobs, made, score=score)
        )
        if document.echo or document.logprobs is not None:
            texts.append(_text(served, prompt))
    plan = _plan(document, requests, texts, continues=True, logprobs=document.logprobs)
    return replace(plan, kept=kept if most else 0, echo=bool(document.echo))


def _plan(
    document: SamplingDocument,
    requests: list[Request],
    texts: list[str],
    *,
    continues: bool,
    logprobs: int | None,
) -> Plan:
    options = document.stream_options
    if options is not None and not document.stream:
        raise ApiError("stream_options: expected stream to be true", param="stream_options")
    return Plan(
        requests,
        texts,
        continues=continues,
        logprobs=logprobs,
        stream=bool(document.stream),
        include_usage=options is not None and options.include_usage,
    )


def _prompts(given: Any) -> list[str | list[int]]:
    """One or several, each a text or ids."""
    if isinstance(given, str) or (given and isinstance(given[0], int)):
        return [given]
    if not given:
        raise ApiError("prompt: expected at least one token", param="prompt")
    if len(given) > _MOST_PROMPTS:
        raise ApiError(
            f"prompt: expected at most {_MOST_PROMPTS} texts, got {len(given)}", param="prompt"
        )
    return list(given)


def _text(served: Served, prompt: str | list[int]) -> str:
    return prompt if isinstance(prompt, str) else served.model.tokenizer.decode(prompt)


def _choices(served: Served, document: SamplingDocument) -> int:
    """How many answers; asked before anything is made for each of them."""
    most = served.worker.most_rows
    if document.n is not None and document.n > most:
        raise ApiError(f"n: expected at most {most}, the rows of the batch", param="n")
    return document.n or 1


def _best_of(served: Served, document: CompletionDocument) -> tuple[int, int]:
    """How many answers are made of a prompt, and how many are given; 0 for all."""
    given, made = _choices(served, document), document.best_of
    if made is None or made == given:
        return given, 0
    if not given < made <= served.worker.most_rows:
        most = served.worker.most_rows
        said = f"best_of: expected n to {most}, the rows of the batch, got {made}"
        raise ApiError(said, param="best_of")
    if document.stream:
        raise ApiError("best_of: expected stream to be false beside it", param="best_of")
    return made, given


def _rest(served: Served, ids: Sequence[int]) -> int:
    """As many tokens as the context has room for."""
    return max(served.context - len(ids) + 1, 1) if served.context else _OPEN


def _options(served: Served, document: SamplingDocument, most: int) -> GenerationOptions:
    stop = () if document.stop is None else document.stop
    return GenerationOptions(
        max_new_tokens=most,
        temperature=1.0 if document.temperature is None else document.temperature,
        top_k=max(document.top_k or 0, 0),
        top_p=1.0 if document.top_p is None else document.top_p,
        min_p=document.min_p or 0.0,
        repetition_penalty=document.repetition_penalty or 1.0,
        seed=secrets.randbits(64) if document.seed is None else document.seed % (1 << 64),
        stop=stop,
        ignore_eos=bool(document.ignore_eos),
    ).with_special_stops(served.model.tokenizer)


def _request(
    served: Served,
    document: SamplingDocument,
    ids: list[int],
    options: GenerationOptions,
    logprobs: int | None,
    choices: int,
    *,
    score: bool,
    masks: Sequence[Adjust] = (),
) -> Request:
    usual = adjustments(served, document)
    adjust = [[*usual, *masks[choice : choice + 1]] for choice in range(choices)]
    return Request(
        ids,
        options,
        choices=choices,
        alternatives=logprobs or 0,
        score_prompt=score,
        adjust=[chain(own) for own in adjust] if any(adjust) else (),
    )
