"""``litellm`` drives the server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from lmkernel_serve.served import Served
from made_sounds import vowels, wave_bytes
from small_waves import RATE, wave_model

import lmkernel

if TYPE_CHECKING:
    from pathlib import Path

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["A", "B"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
ASKED: list[Any] = [{"role": "user", "content": "the cat?"}]


@pytest.fixture
def options(caller: Any) -> dict[str, Any]:
    client, _ = caller
    return {"model": "openai/caller", "api_base": str(client.base_url), "api_key": "-"}


def test_a_message_is_answered_whole_and_in_pieces(options: dict[str, Any], caller: Any) -> None:
    import litellm

    _, model = caller
    more = {"messages": ASKED, "temperature": 0, "max_tokens": 60, **options}
    expected = model.chat("the cat?", max_new_tokens=60)
    answer = litellm.completion(**more)
    assert answer.choices[0].message.content == expected.text
    chunks = list(litellm.completion(stream=True, logprobs=True, **more))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == expected.text
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == [
        expected.finish_reason
    ]


def test_a_tool_is_called(options: dict[str, Any]) -> None:
    import litellm

    for stream in (False, True):
        answer = litellm.completion(
            messages=ASKED, tools=[TOOL], tool_choice="required", stream=stream, **options
        )
        if stream:
            answer = litellm.stream_chunk_builder(list(answer))
        call = answer.choices[0].message.tool_calls[0]
        assert json.loads(call.function.arguments)["city"] in {"A", "B"}
        assert answer.choices[0].finish_reason == "tool_calls"


def test_texts_have_vectors(options: dict[str, Any], caller: Any) -> None:
    import litellm

    _, model = caller
    answer = litellm.embedding(input=["the cat"], encoding_format="float", **options)
    assert answer.data[0]["embedding"] == pytest.approx(model.embed(["the cat"])[0], abs=1e-5)


def test_a_sound_is_written_down(tmp_path: Path, serving: Any) -> None:
    import litellm

    model = lmkernel.load(wave_model(tmp_path / "waves"))
    sound = wave_bytes(vowels(0.7, rate=RATE)[:, None], RATE)
    expected = lmkernel.transcribe(model, sound, words=True, progress=False)
    with serving(Served("waves", lmkernel.load(tmp_path / "waves"))) as address:
        more = {"model": "openai/waves", "api_base": f"{address}/v1", "api_key": "-"}
        plain = litellm.transcription(file=("a.wav", sound), **more)
        verbose = litellm.transcription(
            file=("a.wav", sound),
            response_format="verbose_json",
            timestamp_granularities=["word"],
            **more,
        )
    assert plain.text == verbose.text == expected.text != ""
    assert [one["word"] for one in verbose["words"]] == expected.text.split()
