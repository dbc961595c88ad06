"""Log-probabilities of answers and of prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel_conformance.endpoint.asking import (
    CHAT,
    COMPLETIONS,
    chat,
    chat_body,
    completion_body,
    content_of,
)
from lmkernel_conformance.endpoint.case import cases_of
from lmkernel_conformance.endpoint.wire import expect

if TYPE_CHECKING:
    from lmkernel_conformance.endpoint.wire import Endpoint

__all__ = ["CASES"]

_NEAR = 2e-2
"""Nats between the same token's log-probability in two requests, of servers that compute in
bfloat16."""


def entries_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The entries of a chat's tokens."""
    logprobs = answer["choices"][0].get("logprobs") or {}
    entries: list[dict[str, Any]] = logprobs.get("content") or []
    expect("logprobs with content", entries, logprobs)
    return entries


def tokens_of_a_chat_are_scored(endpoint: Endpoint) -> None:
    """``logprobs: true`` is enough; each entry has token, logprob, bytes and no alternatives."""
    answer = chat(endpoint, logprobs=True)
    for entry in entries_of(answer):
        expect("a token", isinstance(entry.get("token"), str), entry)
        expect("a logprob of at most 0", _is_log(entry.get("logprob")), entry)
        expect("no alternatives", entry.get("top_logprobs") == [], entry)
        own = entry.get("bytes")
        expect("bytes", own is None or all(isinstance(b, int) for b in own), entry)


def tokens_are_the_text(endpoint: Endpoint) -> None:
    """The bytes of the tokens, together, are the answer's text."""
    answer = chat(endpoint, logprobs=True)
    joined = b"".join(bytes(entry.get("bytes") or ()) for entry in entries_of(answer))
    text = content_of(answer)
    expect(f"{text!r:.120}", joined.decode("utf-8", "replace").startswith(text.rstrip()), joined)


def alternatives_are_the_likeliest(endpoint: Endpoint) -> None:
    """``top_logprobs`` are as many as asked for, best first, which temperature 0 takes."""
    for entry in entries_of(chat(endpoint, logprobs=True, top_logprobs=3)):
        best = [one["logprob"] for one in entry["top_logprobs"]]
        expect("3 alternatives, best first", len(best) == 3 and best == sorted(best)[::-1], best)  # noqa: PLR2004 - as asked for
        expect("the token's among them", abs(best[0] - entry["logprob"]) < _NEAR, entry)


def a_stream_has_the_same_scores(endpoint: Endpoint) -> None:
    """A stream's tokens have the scores of the whole answer's."""
    whole = [entry["logprob"] for entry in entries_of(chat(endpoint, logprobs=True))]
    streamed: list[float] = []
    for event in endpoint.events(CHAT, chat_body(endpoint, logprobs=True)):
        for choice in event["choices"]:
            content = (choice.get("logprobs") or {}).get("content") or ()
            streamed += [entry["logprob"] for entry in content]
    near = len(whole) == len(streamed) and all(
        abs(a - b) < _NEAR for a, b in zip(whole, streamed, strict=True)
    )
    expect(f"{whole[:4]} and on", near, streamed[:4])


def a_prompt_is_scored(endpoint: Endpoint) -> None:
    """``echo`` with ``max_tokens: 0`` scores a prompt's tokens, all but the first."""
    body = completion_body(endpoint, echo=True, logprobs=1, max_tokens=0)
    answer = endpoint.ask(COMPLETIONS, body)
    [choice] = answer["choices"]
    expect("the prompt's text", choice.get("text") == body["prompt"], choice)
    scores = (choice.get("logprobs") or {}).get("token_logprobs") or []
    count = answer["usage"]["prompt_tokens"]
    expect(f"{count} scores", len(scores) == count, scores)
    expect("null first, then numbers", scores[0] is None and all(map(_is_log, scores[1:])), scores)


def a_prompt_is_scored_as_it_was_drawn(endpoint: Endpoint) -> None:
    """A token has one log-probability, as an answer and as a part of a prompt."""
    body = completion_body(endpoint, logprobs=1, max_tokens=6)
    drawn = endpoint.ask(COMPLETIONS, body)["choices"][0]
    longer = {**body, "prompt": body["prompt"] + drawn["text"], "max_tokens": 0, "echo": True}
    read = endpoint.ask(COMPLETIONS, longer)["choices"][0]["logprobs"]
    own = drawn["logprobs"]
    count = len(own["tokens"])
    if read["tokens"][-count:] != own["tokens"]:
        return  # the text has other tokens when it is read
    pairs = list(zip(own["token_logprobs"], read["token_logprobs"][-count:], strict=True))
    near = all(abs(a - b) < _NEAR for a, b in pairs)
    expect("the same scores of the same tokens", near, pairs)


def _is_log(value: object) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and value <= 0  # type: ignore[operator]  # a number, as just asked


CASES = cases_of(
    "log-probabilities",
    (
        tokens_of_a_chat_are_scored,
        tokens_are_the_text,
        alternatives_are_the_likeliest,
        a_stream_has_the_same_scores,
        a_prompt_is_scored,
        a_prompt_is_scored_as_it_was_drawn,
    ),
)
