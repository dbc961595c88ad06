"""What the cases ask for most often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel_conformance.endpoint.wire import expect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel_conformance.endpoint.wire import Endpoint

__all__ = [
    "CHAT",
    "COMPLETIONS",
    "QUESTION",
    "chat",
    "chat_body",
    "completion_body",
    "content_of",
    "text_of_stream",
    "token_ids",
]

CHAT, COMPLETIONS = "/chat/completions", "/completions"
QUESTION = [{"role": "user", "content": "Say something about a cat and a mat."}]


def chat_body(endpoint: Endpoint, **changes: Any) -> dict[str, Any]:
    """A request for a chat: 24 of the likeliest tokens, but for changes."""
    usual = {"model": endpoint.model, "messages": QUESTION, "max_tokens": 24, "temperature": 0}
    return {**usual, **changes}


def completion_body(endpoint: Endpoint, **changes: Any) -> dict[str, Any]:
    """A request for a completion, the same."""
    usual = {"model": endpoint.model, "prompt": "The cat sat", "max_tokens": 24, "temperature": 0}
    return {**usual, **changes}


def chat(endpoint: Endpoint, **changes: Any) -> dict[str, Any]:
    """The answer to `chat_body`."""
    return endpoint.ask(CHAT, chat_body(endpoint, **changes))


def content_of(answer: dict[str, Any]) -> str:
    """The text of a chat's first choice."""
    choices = answer.get("choices")
    expect("choices", isinstance(choices, list) and choices, answer)
    content = answer["choices"][0].get("message", {}).get("content")
    expect("a message with content", isinstance(content, str), answer["choices"][0])
    return str(content)


def text_of_stream(events: Sequence[dict[str, Any]]) -> str:
    """The text of the first choice of a stream, of a chat or of completions."""
    text = ""
    for event in events:
        for choice in event.get("choices", ()):
            if choice.get("index", 0) == 0:
                text += choice.get("text") or choice.get("delta", {}).get("content") or ""
    return text


def token_ids(endpoint: Endpoint, text: str) -> list[int]:
    """The ids of a text, of a server that tells them."""
    body = {"model": endpoint.model, "prompt": text, "add_special_tokens": False}
    ids = endpoint.ask("//tokenize", body).get("tokens")
    expect("token ids", isinstance(ids, list) and all(isinstance(i, int) for i in ids), ids)
    found: list[int] = ids  # type: ignore[assignment]  # as just expected
    return found
