"""Answers over HTTP are what the library computes, whole and in streams, by the real client."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import openai
import pytest

if TYPE_CHECKING:
    from lmkernel.language_model import LanguageModel

QUESTION: list[Any] = [{"role": "user", "content": "the cat?"}]


def chat(client: openai.OpenAI, **changes: Any) -> Any:
    asked = {"model": "tiny", "messages": QUESTION, "max_tokens": 20, "temperature": 0}
    return client.chat.completions.create(**{**asked, **changes})


def complete(client: openai.OpenAI, **changes: Any) -> Any:
    asked = {"model": "tiny", "prompt": "the cat", "max_tokens": 20, "temperature": 0}
    return client.completions.create(**{**asked, **changes})


def test_a_chat_is_the_librarys(client: openai.OpenAI, model: LanguageModel) -> None:
    answer, expected = chat(client), model.chat("the cat?", max_new_tokens=20)
    [choice] = answer.choices
    assert choice.message.content == expected.text
    assert (choice.message.role, choice.finish_reason) == ("assistant", expected.finish_reason)
    assert answer.usage.completion_tokens == len(expected.tokens)
    assert "contract" in answer.system_fingerprint


def test_a_stream_is_the_same(client: openai.OpenAI, model: LanguageModel) -> None:
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    deltas = [chunk.choices[0] for chunk in chunks[:-1]]
    assert deltas[0].delta.role == "assistant"
    assert (
        "".join(d.delta.content or "" for d in deltas)
        == model.chat("the cat?", max_new_tokens=20).text
    )
    assert [bool(d.finish_reason) for d in deltas] == [False] * (len(deltas) - 1) + [True]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 20
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_usage_is_streamed_only_if_asked_for(client: openai.OpenAI) -> None:
    assert all(chunk.choices and chunk.usage is None for chunk in chat(client, stream=True))


def test_draws_follow_the_seed(client: openai.OpenAI, model: LanguageModel) -> None:
    drawn = [
        chat(client, temperature=1.5, seed=seed).choices[0].message.content for seed in (7, 7, 8)
    ]
    expected = model.chat("the cat?", max_new_tokens=20, temperature=1.5, seed=7).text
    assert drawn[:2] == [expected] * 2
    assert drawn[2] != expected


def test_several_choices_are_drawn_apart(client: openai.OpenAI) -> None:
    answer = chat(client, n=3, temperature=2.0, seed=5)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    whole = [choice.message.content for choice in answer.choices]
    assert len(set(whole)) == 3
    streamed = ["", "", ""]
    for chunk in chat(client, n=3, temperature=2.0, seed=5, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert streamed == whole


def test_the_best_of_several_are_given(client: openai.OpenAI) -> None:
    """Those of the highest log-probability per token, as OpenAI's reference says."""
    asked: dict[str, Any] = {"prompt": ["the cat", "a"], "temperature": 2.0, "seed": 5}
    whole = complete(client, **asked, n=4, logprobs=0)
    best = complete(client, **asked, n=2, best_of=4)
    expected = []
    for at in (0, 4):
        ranked = sorted(
            whole.choices[at : at + 4], key=lambda c: -np.mean(c.logprobs.token_logprobs)
        )
        expected += [choice.text for choice in ranked[:2]]
    assert [choice.text for choice in best.choices] == expected
    assert [choice.index for choice in best.choices] == [0, 1, 2, 3]
    assert best.usage == whole.usage


def test_log_probabilities_of_a_chat(client: openai.OpenAI, model: LanguageModel) -> None:
    expected = model.chat("the cat?", max_new_tokens=20)
    content = chat(client, logprobs=True, top_logprobs=3).choices[0].logprobs.content
    assert [entry.logprob for entry in content] == pytest.approx(expected.log_probs, abs=1e-4)
    assert b"".join(bytes(e.bytes) for e in content).decode("utf-8", "replace") == expected.text
    for entry in content:
        assert [top.logprob for top in entry.top_logprobs] == sorted(
            (top.logprob for top in entry.top_logprobs), reverse=True
        )
        assert entry.top_logprobs[0].bytes == entry.bytes  # greedy
    assert chat(client, logprobs=True).choices[0].logprobs.content[0].top_logprobs == []
    assert chat(client).choices[0].logprobs is None


def test_log_probabilities_of_a_stream_are_the_same(client: openai.OpenAI) -> None:
    whole = chat(client, logprobs=True, top_logprobs=2).choices[0].logprobs.content
    chunks = list(chat(client, logprobs=True, top_logprobs=2, stream=True))
    streamed = [e for c in chunks for e in (c.choices[0].logprobs or EMPTY).content]
    assert [e.token for e in streamed] == [e.token for e in whole]
    assert [e.logprob for e in streamed] == pytest.approx([e.logprob for e in whole], abs=1e-5)
    assert chunks[-1].choices[0].finish_reason == "length"


class EMPTY:
    content: tuple[Any, ...] = ()


@pytest.mark.parametrize("most", [0, 5])
@pytest.mark.parametrize("ids", [False, True])
def test_a_prompt_is_scored(
    client: openai.OpenAI, model: LanguageModel, most: int, ids: bool
) -> None:
    text = "the cat sat on 你好"
    tokens = model.token_ids(text)
    prompt = tokens if ids else text
    answer = complete(client, prompt=prompt, echo=True, logprobs=2, max_tokens=most)
    [choice] = answer.choices
    after = list(model.generate(tokens, max_new_tokens=most).tokens) if most else []
    expected = model.log_probs([*tokens, *after]).values
    given = choice.logprobs
    assert given.token_logprobs[0] is None
    assert given.top_logprobs[0] is None
    assert given.token_logprobs[1:] == pytest.approx(expected, abs=1e-4)
    assert choice.text.startswith(text)
    assert len(given.tokens) == len(given.text_offset) == len(tokens) + most
    for own, best in zip(given.token_logprobs[1:], given.top_logprobs[1:], strict=True):
        assert len(best) in {2, 3}
        assert max(best.values()) >= own
    assert answer.usage.prompt_tokens == len(tokens)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("prompt", ["the cat", "the cat sat on 你好"])
def test_tokens_stand_where_they_do_after_the_prompt(
    client: openai.OpenAI, model: LanguageModel, prompt: str, stream: bool
) -> None:
    """Whether it is repeated or not, as in OpenAI's interface."""
    whole = offsets_of(client, prompt=prompt, echo=True, logprobs=0, stream=stream)
    own = offsets_of(client, prompt=prompt, logprobs=0, stream=stream)
    assert own[0] == len(prompt)
    assert own == whole[len(model.token_ids(prompt)) :]
    assert whole[0] == 0
    assert whole == sorted(whole)


def offsets_of(client: openai.OpenAI, *, stream: bool, **changes: Any) -> list[int]:
    answer = complete(client, stream=stream, **changes)
    choices = [one.choices[0] for one in (answer if stream else [answer])]
    return [offset for one in choices if one.logprobs for offset in one.logprobs.text_offset]


def test_prompts_of_every_form(client: openai.OpenAI, model: LanguageModel) -> None:
    texts = ["the cat", "on the mat, 12"]
    expected = [model.generate(text, max_new_tokens=20).text for text in texts]
    rows = [model.token_ids(text) for text in texts]
    for prompt in (texts, rows):
        answer = complete(client, prompt=prompt, n=2)
        assert [c.text for c in answer.choices] == [t for t in expected for _ in range(2)]
        assert [c.index for c in answer.choices] == [0, 1, 2, 3]
    for one in (texts[0], rows[0]):
        assert complete(client, prompt=one).choices[0].text == expected[0]


def test_a_prompt_that_ends_inside_a_character_leaks_nothing(
    client: openai.OpenAI, model: LanguageModel
) -> None:
    ids = model.token_ids("学")[:-1]
    expected = model.generate(ids, max_new_tokens=8).text
    chunks = complete(client, prompt=ids, max_tokens=8, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == expected


def test_no_half_character_is_streamed(client: openai.OpenAI, model: LanguageModel) -> None:
    """The three bytes of a character come one by one, by a bias towards each."""
    ids = model.token_ids("学")
    assert len(ids) > 1
    bias = {str(token): 100 for token in ids}
    chunks = list(
        chat(client, logit_bias=bias, seed=3, temperature=1.0, max_tokens=30, stream=True)
    )
    pieces = [c.choices[0].delta.content or "" for c in chunks]
    whole = chat(client, logit_bias=bias, seed=3, temperature=1.0, max_tokens=30)
    assert "".join(pieces) == whole.choices[0].message.content
    assert "\u5b6d" in "".join(pieces)  # of the same bytes, as they were drawn


@pytest.mark.parametrize("stream", [False, True])
def test_stops_end_a_text_before_them(
    client: openai.OpenAI, model: LanguageModel, stream: bool
) -> None:
    text = model.chat("the cat?", max_new_tokens=20).text
    stop = text[5:8]
    expected = text[: text.index(stop)]
    answer = chat(client, stop=[stop, "你好"], stream=stream)
    if stream:
        chunks = list(answer)
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == expected
        assert chunks[-1].choices[0].finish_reason == "stop"
    else:
        assert answer.choices[0].message.content == expected
        assert answer.choices[0].finish_reason == "stop"


def test_penalties_and_biases_change_the_choice_and_not_its_log_probability(
    client: openai.OpenAI, model: LanguageModel
) -> None:
    free = model.chat("the cat?", max_new_tokens=20)
    banned = chat(client, logit_bias={str(free.tokens[0]): -100}, logprobs=True)
    first = banned.choices[0].logprobs.content[0]
    assert first.logprob < free.log_probs[0]
    often = chat(client, frequency_penalty=2.0, presence_penalty=2.0, max_tokens=60, logprobs=True)
    tokens = [entry.token for entry in often.choices[0].logprobs.content]
    plain = chat(client, max_tokens=60, logprobs=True)
    assert len(set(tokens)) > len({e.token for e in plain.choices[0].logprobs.content})


def test_a_special_token_may_be_a_stop(client: openai.OpenAI, model: LanguageModel) -> None:
    bias = {str(model.tokenizer.token_id("<|im_start|>")): 100}
    assert chat(client, logit_bias=bias).choices[0].finish_reason == "length"
    answer = chat(client, logit_bias=bias, stop="<|im_start|>")
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("", "stop")


def test_parts_and_developers_are_texts_and_systems(client: openai.OpenAI) -> None:
    parts = [{"type": "text", "text": "the "}, {"type": "text", "text": "cat?"}]
    one = chat(
        client,
        messages=[{"role": "developer", "content": "be"}, {"role": "user", "content": parts}],
    )
    other = chat(client, messages=[{"role": "system", "content": "be"}, *QUESTION])
    assert one.choices[0].message.content == other.choices[0].message.content
    assert one.usage == other.usage


def test_many_at_once_are_as_alone(address: str, model: LanguageModel) -> None:
    """Two more than rows, of unequal length, some of them streams."""

    async def run() -> list[str]:
        async with openai.AsyncOpenAI(
            base_url=f"{address}/v1", api_key="none", max_retries=9
        ) as many:
            return list(await asyncio.gather(*(ask(many, i) for i in range(6))))

    async def ask(many: openai.AsyncOpenAI, i: int) -> str:
        asked: dict[str, Any] = {
            "model": "tiny",
            "messages": [{"role": "user", "content": "the cat " * (i + 1)}],
            "max_tokens": 10 + 7 * i,
            "temperature": 1.0,
            "seed": i,
        }
        if i % 2:
            answer = await many.chat.completions.create(**asked)
            return str(answer.choices[0].message.content)
        chunks = [c async for c in await many.chat.completions.create(**asked, stream=True)]
        return "".join(c.choices[0].delta.content or "" for c in chunks)

    expected = [
        model.chat("the cat " * (i + 1), max_new_tokens=10 + 7 * i, temperature=1.0, seed=i).text
        for i in range(6)
    ]
    assert asyncio.run(run()) == expected


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_vectors_are_the_librarys(
    client: openai.OpenAI, model: LanguageModel, encoding: Any
) -> None:
    texts = ["the cat", "on the mat"]
    more = {} if encoding is None else {"encoding_format": encoding}
    answer = client.embeddings.create(model="tiny", input=texts, **more)
    found = [
        np.frombuffer(__import__("base64").b64decode(d.embedding), "<f4")
        if isinstance(d.embedding, str)
        else d.embedding
        for d in answer.data
    ]
    np.testing.assert_allclose(found, model.embed(texts), atol=1e-5)
    assert answer.usage.prompt_tokens == sum(len(model.token_ids(t)) for t in texts)


SCHEMA = {
    "type": "object",
    "properties": {
        "size": {"type": "integer", "minimum": 0, "maximum": 99},
        "kind": {"enum": ["cat", "mat"]},
    },
    "required": ["size", "kind"],
    "additionalProperties": False,
}


@pytest.mark.parametrize("seed", range(4))
def test_a_schema_is_kept_to(client: openai.OpenAI, seed: int) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "thing", "schema": SCHEMA}}
    answer = chat(client, response_format=wanted, temperature=2.0, seed=seed, max_tokens=100, n=2)
    for choice in answer.choices:
        assert choice.finish_reason == "stop"
        made = json.loads(choice.message.content)
        assert set(made) == {"size", "kind"}
        assert 0 <= made["size"] <= 99
        assert made["kind"] in {"cat", "mat"}
