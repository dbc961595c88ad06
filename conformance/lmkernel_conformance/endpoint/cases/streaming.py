"""Streams: their chunks, their ends, and characters of several bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel_conformance.endpoint.asking import (
    CHAT,
    COMPLETIONS,
    chat,
    chat_body,
    completion_body,
    content_of,
    text_of_stream,
    token_ids,
)
from lmkernel_conformance.endpoint.case import cases_of
from lmkernel_conformance.endpoint.wire import expect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel_conformance.endpoint.wire import Endpoint

__all__ = ["CASES"]

_WORDS = "学生, naïve, 🙂, 你好"


def reasons_of(events: Sequence[dict[str, Any]]) -> list[Any]:
    """The reasons to finish of all chunks with choices."""
    return [c.get("finish_reason") for event in events for c in event.get("choices", ())]


def chunks_make_the_answer(endpoint: Endpoint) -> None:
    """Chunks have one id, the role first, the reason last, and together the whole answer's text."""
    events = endpoint.events(CHAT, chat_body(endpoint))
    kinds = {event.get("object") for event in events}
    expect("objects chat.completion.chunk", kinds == {"chat.completion.chunk"}, kinds)
    expect("one id", len({event.get("id") for event in events}) == 1, events[:2])
    first = events[0]["choices"][0]["delta"]
    expect("the role in the first delta", first.get("role") == "assistant", first)
    whole = content_of(chat(endpoint))
    text = text_of_stream(events)
    expect(f"the text {whole!r:.120}", text == whole, text)
    reasons = reasons_of(events)
    expect("a reason to finish, at the end alone", _ends(reasons), reasons)


def _ends(reasons: Sequence[Any]) -> bool:
    return bool(reasons) and reasons[-1] in {"stop", "length"} and not any(reasons[:-1])


def usage_comes_where_it_is_asked_for(endpoint: Endpoint) -> None:
    """With ``include_usage`` one more chunk, of no choices, has it; without, none."""
    plain = endpoint.events(CHAT, chat_body(endpoint))
    expect("no usage", not any(event.get("usage") for event in plain), plain[-1])
    expect("choices in every chunk", all(event.get("choices") for event in plain), plain[-1])
    asked = chat_body(endpoint, stream_options={"include_usage": True})
    *others, last = endpoint.events(CHAT, asked)
    expect("choices: [] at the end", last.get("choices") == [], last)
    usage = last.get("usage") or {}
    expect("the tokens counted", isinstance(usage.get("completion_tokens"), int), last)
    expect("usage nowhere else", not any(event.get("usage") for event in others), others[-1])


def characters_are_whole(endpoint: Endpoint) -> None:
    """No character of several bytes is cut, wherever its tokens end and the answer does."""
    asked = [{"role": "user", "content": f"Repeat: {_WORDS}"}]
    for most in (1, 2, 3, 5, 24):
        body = chat_body(endpoint, messages=asked, max_tokens=most)
        _compare(endpoint, CHAT, body)


def characters_are_whole_though_drawn_in_pieces(endpoint: Endpoint) -> None:
    """The bytes of characters come one by one, by a bias towards their tokens."""
    ids = sorted({one for word in ("学", "🙂", "好") for one in token_ids(endpoint, word)})
    bias = {str(one): 100 for one in ids}
    for seed in range(3):
        body = chat_body(endpoint, logit_bias=bias, temperature=1.0, seed=seed, max_tokens=40)
        _compare(endpoint, CHAT, body)
        answer = endpoint.ask(CHAT, {**body, "logprobs": True})
        entries = answer["choices"][0]["logprobs"]["content"]
        data = b"".join(bytes(entry["bytes"] or ()) for entry in entries)
        text = content_of(answer).replace("\ufffd", "")
        expect("the characters of the tokens' bytes", text == data.decode(errors="ignore"), text)


def a_prompt_may_end_inside_a_character(endpoint: Endpoint) -> None:
    """Nothing of a prompt's half character leaks into the answer's first delta."""
    word = "qzxw"
    ids = token_ids(endpoint, f"{word} 学")[:-1]
    for most in (1, 6):
        body = completion_body(endpoint, prompt=ids, max_tokens=most)
        text = _compare(endpoint, COMPLETIONS, body)
        expect("nothing of the prompt", word not in text, text)


def _compare(endpoint: Endpoint, path: str, body: dict[str, Any]) -> str:
    """The text of a stream, which is the whole answer's."""
    choice = endpoint.ask(path, body)["choices"][0]
    whole = choice["text"] if "text" in choice else choice["message"]["content"]
    text = text_of_stream(endpoint.events(path, body))
    expect(f"the text {whole!r:.120}", text == whole, text)
    return text


def a_stop_holds_across_chunks(endpoint: Endpoint) -> None:
    """A stop string that comes in several pieces is not sent, nor any beginning of it."""
    text = content_of(chat(endpoint))
    expect("a text to stop in", len(text) > 8, text)  # noqa: PLR2004 - of some length
    stop = text[3:8]
    events = endpoint.events(CHAT, chat_body(endpoint, stop=[stop]))
    found, expected = text_of_stream(events), text[: text.index(stop)]
    expect(f"{expected!r}", found == expected, found)
    reasons = reasons_of(events)
    expect("the reason stop", reasons[-1:] == ["stop"], reasons)


def a_reason_comes_with_log_probabilities(endpoint: Endpoint) -> None:
    """The reason to finish is there in a stream of log-probabilities."""
    events = endpoint.events(CHAT, chat_body(endpoint, logprobs=True, top_logprobs=1))
    reasons = reasons_of(events)
    expect("a reason to finish, at the end alone", _ends(reasons), reasons)
    there = [c.get("logprobs") for e in events for c in e["choices"] if c.get("logprobs")]
    expect("log-probabilities", there, events[:3])


def completions_are_streamed(endpoint: Endpoint) -> None:
    """A completion's stream has its text, and ends with its reason."""
    body = completion_body(endpoint)
    _compare(endpoint, COMPLETIONS, body)
    reasons = reasons_of(endpoint.events(COMPLETIONS, body))
    expect("a reason to finish, at the end alone", _ends(reasons), reasons)


def several_choices_are_streamed(endpoint: Endpoint) -> None:
    """Each of ``n`` answers ends once, and its chunks say which they are of."""
    events = endpoint.events(CHAT, chat_body(endpoint, n=2, temperature=1.0))
    ended = [c["index"] for e in events for c in e["choices"] if c.get("finish_reason")]
    expect("an end of 0 and of 1", sorted(ended) == [0, 1], ended)


CASES = cases_of(
    "streaming",
    (
        chunks_make_the_answer,
        usage_comes_where_it_is_asked_for,
        characters_are_whole,
        characters_are_whole_though_drawn_in_pieces,
        a_prompt_may_end_inside_a_character,
        a_stop_holds_across_chunks,
        a_reason_comes_with_log_probabilities,
        completions_are_streamed,
        several_choices_are_streamed,
    ),
    optional=(
        "characters_are_whole_though_drawn_in_pieces",
        "a_prompt_may_end_inside_a_character",
        "a_reason_comes_with_log_probabilities",
        "completions_are_streamed",
        "several_choices_are_streamed",
    ),
)
