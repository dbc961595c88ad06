"""SmolLM2 behind the command: scores of a prompt, attention and the lens are the library's."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import Any

import numpy as np
import openai
import pytest

import lmkernel as lk

MODEL = "smollm2-135m-instruct"


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
