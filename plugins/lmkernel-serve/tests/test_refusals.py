"""What is refused, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import openai

MESSAGES: list[Any] = [{"role": "user", "content": "the cat?"}]
CHAT = "/v1/chat/completions"
REFUSED: list[tuple[str, Any, int, str]] = [
    (CHAT, b"{", 400, "expected a body of JSON"),
    (CHAT, b"[" * 100_000, 400, "expected a body of JSON"),
    (CHAT, b"[]", 400, "expected a JSON object, got list"),
    (CHAT, b'{"temperature": NaN}', 400, "NaN is no JSON"),
    (CHAT, {"model": "tiny"}, 400, "messages: "),
    (CHAT, {"model": "huge", "messages": MESSAGES}, 404, "the model 'huge' does not exist here"),
    (CHAT, {"model": "tiny", "messages": []}, 400, "messages: "),
    (
        CHAT,
        {"model": "tiny", "messages": MESSAGES, "audio": {}},
        400,
        "audio: this server does not know",
    ),
    (CHAT, {"model": "tiny", "messages": MESSAGES, "temperature": "1"}, 400, "temperature: "),
    (CHAT, {"model": "tiny", "messages": MESSAGES, "temperature": 9}, 400, "temperature: "),
    (CHAT, {"model": "tiny", "messages": MESSAGES, "n": 5}, 400, "n: expected at most 4"),
    (CHAT, {"model": "tiny", "messages": MESSAGES, "max_tokens": 0}, 400, "max_tokens: "),
    (CHAT, {"model": "tiny", "messages": MESSAGES, "stop": ""}, 400, "stop: "),
    (CHAT, {"model": "tiny", "messages": MESSAGES, "top_logprobs": 2}, 400, "top_logprobs: "),
    (CHAT, {"model": "tiny", "messages": MESSAGES, "logit_bias": {"x": 1}}, 400, "logit_bias: "),
    (CHAT, {"model": "tiny", "messages": MESSAGES, "logit_bias": {"340": 1}}, 400, "logit_bias: "),
    (
        CHAT,
        {"model": "tiny", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        400,
        "messages.0.content",
    ),
    (
        CHAT,
        {"model": "tiny", "messages": [{"role": "user", "content": "\ud800"}]},
        400,
        "lone surrogate",
    ),
    (
        CHAT,
        {"model": "tiny", "messages": [{"role": "user", "content": "the cat " * 400}]},
        400,
        "the model's context",
    ),
    (
        CHAT,
        {"model": "tiny", "messages": MESSAGES, "response_format": {"type": "json_schema"}},
        400,
        "response_format: expected a json_schema",
    ),
    (
        CHAT,
        {
            "model": "tiny",
            "messages": MESSAGES,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"type": 7}},
            },
        },
        400,
        "response_format: ",
    ),
    (
        CHAT,
        {
            "model": "tiny",
            "messages": MESSAGES,
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "x",
                    "schema": {"allOf": [{"pattern": f".*a{{{at}}}.*"} for at in range(15)]},
                },
            },
        },
        400,
        "at most 8 patterns",
    ),
    (CHAT, {"model": "tiny", "messages": MESSAGES, "stream_options": {}}, 400, "stream_options: "),
    (
        "/v1/completions",
        {"model": "tiny", "prompt": ""},
        400,
        "prompt: expected at least one token",
    ),
    ("/v1/completions", {"model": "tiny", "prompt": []}, 400, "prompt"),
    ("/v1/completions", {"model": "tiny", "prompt": ["a"] * 2049}, 400, "at most 2048 texts"),
    (
        "/v1/completions",
        {"model": "tiny", "prompt": [340]},
        400,
        "prompt: expected token ids in 0 … 339",
    ),
    ("/v1/completions", {"model": "tiny", "prompt": "a", "max_tokens": 0}, 400, "max_tokens: "),
    (
        "/v1/completions",
        {"model": "tiny", "prompt": "a", "suffix": "b"},
        400,
        "suffix: this server",
    ),
    (
        "/v1/completions",
        {"model": "tiny", "prompt": "a", "n": 2, "best_of": 1},
        400,
        "best_of: expected n to 4",
    ),
    (
        "/v1/completions",
        {"model": "tiny", "prompt": "a", "best_of": 2, "stream": True},
        400,
        "best_of: expected stream to be false",
    ),
    (
        "/v1/responses",
        {"model": "tiny", "input": [{"type": "reasoning"}]},
        400,
        "input: expected at least one message",
    ),
    ("/v1/embeddings", {"model": "tiny", "input": [""]}, 400, "input: "),
    ("/v1/embeddings", {"model": "tiny", "input": [[3, 4]]}, 400, "input: "),
    ("/tokenize", {"model": "tiny"}, 400, "expected prompt or messages"),
    ("/v1/nothing", {}, 404, "Not Found"),
    ("/v1/completions/", {}, 404, "Not Found"),
    ("/v1/models", {}, 405, "Method Not Allowed"),
]


@pytest.mark.parametrize(("path", "body", "status", "message"), REFUSED)
def test_what_cannot_be_done_is_refused_by_name(
    address: str, path: str, body: Any, status: int, message: str, post: Any
) -> None:
    got, answer = post(address, path, body)
    assert got == status, answer
    assert set(answer) == {"error"}
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert message in answer["error"]["message"]
    assert answer["error"]["type"] == "invalid_request_error"


def test_one_bad_request_leaves_the_others(address: str, client: openai.OpenAI, post: Any) -> None:
    stream = client.chat.completions.create(
        model="tiny", messages=MESSAGES, stream=True, max_tokens=60, temperature=0
    )
    first = next(iter(stream))
    assert (
        post(address, CHAT, {"model": "tiny", "messages": [{"role": "user", "content": "\ud800"}]})[
            0
        ]
        == 400
    )
    assert [*stream][-1].choices[0].finish_reason
    assert first.id
