"""SmolLM2 behind the command, on torch: many clients at once, a third of whom leave early."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import openai
import pytest

import lmkernel as lk

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = "smollm2-135m-instruct"
CLIENTS = 12
ASKED = ("Why is the sky blue?", "Write a poem about the sea.", "2 + 2?", "List five animals. " * 9)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    subprocess.run([sys.executable, "-m", "lmkernel.cli", "pull", MODEL], check=True)
    command = [sys.executable, "-m", "lmkernel.cli", "serve", MODEL]
    command += ["--backend", "torch", "--port", "0", "--max-batch", "8"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        said = process.stderr.readline() if process.stderr else ""
        found = re.search(r"at (http://\S+/v1)", said)
        assert found, said
        yield found[1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


def request(i: int) -> dict[str, Any]:
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": ASKED[i % len(ASKED)]}],
        "max_tokens": 6 + 3 * i,
        "temperature": (i % 2) * 0.8,
        "seed": i,
        "stream": True,
    }


async def ask(client: openai.AsyncOpenAI, i: int) -> str | None:
    text = ""
    async with await client.chat.completions.create(**request(i)) as stream:
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            if i % 3 == 2 and len(text) > 8:
                return None
    return text


async def ask_all(address: str) -> list[str | None]:
    async with openai.AsyncOpenAI(base_url=address, api_key="-", max_retries=0) as client:
        return list(await asyncio.gather(*(ask(client, i) for i in range(CLIENTS))))


def test_nothing_is_lost_and_no_answer_is_wrong(address: str) -> None:
    model = lk.load(MODEL, backend="torch")
    for i, text in enumerate(asyncio.run(ask_all(address))):
        asked = request(i)
        if text is not None:
            assert (
                text
                == model.chat(
                    asked["messages"],
                    max_new_tokens=asked["max_tokens"],
                    temperature=asked["temperature"],
                    seed=asked["seed"],
                ).text
            )


def test_a_prompt_is_scored_as_the_library_scores_it(address: str) -> None:
    model, text = lk.load(MODEL, backend="torch"), "The capital of France is Paris."
    with openai.OpenAI(base_url=address, api_key="-", max_retries=0) as client:
        answer = client.completions.create(
            model=MODEL, prompt=text, echo=True, logprobs=1, max_tokens=0
        )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert "".join(logprobs.tokens or ()) == text
    values = (logprobs.token_logprobs or [])[1:]
    assert values == pytest.approx(model.log_probs(text).values.tolist(), abs=1e-4)


def test_attention_and_the_lens_are_the_librarys(address: str) -> None:
    model, text = lk.load(MODEL, backend="torch"), "The capital of France is"
    ids = model.token_ids(text)
    asked = {"model": MODEL, "prompt": text}
    found = post(address, "attention", {**asked, "layers": [0, 29]})
    expected = model.attention_weights(text, [0, 29])[:, :, -1].astype(np.float64)
    assert [token["id"] for token in found["tokens"]] == ids
    for own, rows in zip(found["weights"], expected, strict=True):
        assert own["heads"] == rows.tolist()
    lens = post(address, "lens", {**asked, "top": 1})["layers"]
    assert len(lens) == 31
    assert [one["token"] for one in lens[-1]["top"]] == [" Paris"]
    expected_last = model.logits(text)[-1].astype(np.float64)
    shifted = expected_last - expected_last.max()
    assert lens[-1]["top"][0]["logprob"] == pytest.approx(-np.log(np.exp(shifted).sum()), abs=1e-4)


def post(address: str, path: str, body: dict[str, Any]) -> Any:
    host = address.removeprefix("http://").removesuffix("/v1")
    with closing(http.client.HTTPConnection(host)) as connection:
        connection.request("POST", f"/lmkernel/{path}", json.dumps(body))
        return json.load(connection.getresponse())
