"""From a document to what the model is asked."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.generation import GenerationOptions, Request
from lmkernel_serve.errors import ApiError
from lmkernel_serve.grammar import GrammarMask, grammar_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lmkernel.generation import Adjust
    from lmkernel_serve.documents import ChatDocument, CompletionDocument, SamplingDocument
    from lmkernel_serve.served import Served

__all__ = ["Plan", "conversation_of", "plan_chat", "plan_completion"]

_OPEN = 4096
"""The most tokens of an answer where neither request nor context has a limit."""
_COMPLETION = 16
"""As many as OpenAI's own completions have by default."""


@final
@dataclass(frozen=True)
class Plan:
    """Requests to a model, and how their answers are read.

    Args:
        requests: one for each prompt.
        prompts: the text of each prompt where answers repeat it; else none.
        continues: whether an answer's text goes on from that of its prompt.
        logprobs: how many alternatives are shown for each token; None for no log-probabilities.
        stream: whether pieces are sent as they come.
        include_usage: whether a stream ends with the number of its tokens.
    """

    requests: Sequence[Request]
    prompts: Sequence[str]
    continues: bool
    logprobs: int | None
    stream: bool
    include_usage: bool


def conversation_of(document: ChatDocument | Any) -> list[dict[str, Any]]:
    """The messages as chat templates know them."""
    messages = []
    for message in document.messages:
        plain = message.model_dump(exclude_none=True)
        if plain["role"] == "developer":
            plain["role"] = "system"
        if isinstance(plain.get("content"), list):
            plain["content"] = "".join(part["text"] for part in plain["content"])
        plain.setdefault("content", "")
        messages.append(plain)
    return messages


def plan_chat(served: Served, document: ChatDocument) -> Plan:
    """A conversation's next message.

    Raises:
        ApiError, LmkernelError: what is asked for cannot be had.
    """
    if document.top_logprobs is not None and not document.logprobs:
        raise ApiError("top_logprobs: expected logprobs to be true", param="top_logprobs")
    tokenizer = served.model.tokenizer
    text = tokenizer.chat(conversation_of(document))
    ids = tokenizer.encode(text, special_tokens=False)
    shown = (document.top_logprobs or 0) if document.logprobs else None
    if document.max_tokens == 0:
        raise ApiError("max_tokens: expected at least 1, got 0", param="max_tokens")
    most = document.max_completion_tokens or document.max_tokens or _rest(served, ids)
    options = _options(document, most)
    grammar, choices = grammar_of(served, document.response_format), document.n or 1
    masks = [GrammarMask(served, grammar) for _ in range(choices)] if grammar else ()
    request = _request(served, document, ids, options, shown, choices, score=False, masks=masks)
    return _plan(document, [request], [], continues=False, logprobs=shown)


def plan_completion(served: Served, document: CompletionDocument) -> Plan:
    """Continuations of one prompt or several.

    Raises:
        ApiError, LmkernelError: what is asked for cannot be had.
    """
    most = _COMPLETION if document.max_tokens is None else document.max_tokens
    if not most and not document.echo:
        raise ApiError("max_tokens: expected at least 1, or echo", param="max_tokens")
    score = bool(document.echo and document.logprobs is not None) or not most
    options = _options(document, max(most, 1))
    requests, texts = [], []
    for prompt in _prompts(document.prompt):
        ids = served.model.token_ids(prompt) if isinstance(prompt, str) else list(prompt)
        if not ids:
            raise ApiError("prompt: expected at least one token", param="prompt")
        _check_ids(served, ids, "prompt")
        choices = (document.n or 1) if most else 0
        requests.append(
            _request(served, document, ids, options, document.logprobs, choices, score=score)
        )
        if document.echo:
            texts.append(_text(served, prompt))
    return _plan(document, requests, texts, continues=True, logprobs=document.logprobs)


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
    return list(given)


def _text(served: Served, prompt: str | list[int]) -> str:
    return prompt if isinstance(prompt, str) else served.model.tokenizer.decode(prompt)


def _check_ids(served: Served, ids: Sequence[int], param: str) -> None:
    vocab = served.model.config.embedding.vocab
    if max(ids) >= vocab or min(ids) < 0:
        raise ApiError(f"{param}: expected token ids in 0 … {vocab - 1}", param=param)


def _rest(served: Served, ids: Sequence[int]) -> int:
    """As many tokens as the context has room for."""
    return max(served.context - len(ids) + 1, 1) if served.context else _OPEN


def _options(document: SamplingDocument, most: int) -> GenerationOptions:
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
    )


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
    usual = _adjust(served, document)
    adjust = [[*usual, *masks[choice : choice + 1]] for choice in range(choices)]
    return Request(
        ids,
        options,
        choices=choices,
        alternatives=logprobs or 0,
        score_prompt=score,
        adjust=[_chain(own) for own in adjust] if any(adjust) else (),
    )


def _adjust(served: Served, document: SamplingDocument) -> list[Adjust]:
    """Biases and penalties, as OpenAI's reference defines them."""
    found: list[Adjust] = []
    if document.logit_bias:
        ids = [_bias_id(served, key) for key in document.logit_bias]
        values = np.array(list(document.logit_bias.values()))
        found.append(lambda logits, _: _plus(logits, ids, values))
    presence, frequency = document.presence_penalty or 0.0, document.frequency_penalty or 0.0
    if presence or frequency:

        def penalise(logits: NDArray[Any], answer: Sequence[int]) -> NDArray[Any]:
            seen, counts = np.unique(np.array(answer, np.int64), return_counts=True)
            return _plus(logits, seen, -presence - frequency * counts)

        found.append(penalise)
    return found


def _bias_id(served: Served, key: str) -> int:
    if not (key.isascii() and key.isdigit() and len(key) < 12):  # noqa: PLR2004 - longer than any id
        raise ApiError(f"logit_bias: expected token ids, got {key!r:.40}", param="logit_bias")
    _check_ids(served, [int(key)], "logit_bias")
    return int(key)


def _plus(logits: NDArray[Any], ids: Any, values: NDArray[Any]) -> NDArray[Any]:
    changed = logits.astype(np.float64)
    changed[ids] += values
    return changed


def _chain(adjust: Sequence[Adjust]) -> Callable[..., NDArray[Any]]:
    def apply(logits: NDArray[Any], answer: Sequence[int]) -> NDArray[Any]:
        for one in adjust:
            logits = one(logits, answer)
        return logits

    return apply
