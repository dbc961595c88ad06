"""Attention, the lens and a continued answer over HTTP are what the library computes."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from lmkernel_serve.served import Served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import openai

    from lmkernel.language_model import LanguageModel

MESSAGES: list[Any] = [{"role": "user", "content": "the cat?"}]


def ask(address: str, path: str, document: Any = None) -> tuple[int, Any]:
    with closing(http.client.HTTPConnection(address.removeprefix("http://"))) as connection:
        body = None if document is None else json.dumps(document)
        connection.request("GET" if document is None else "POST", path, body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def asked(path: str, address: str, **document: Any) -> Any:
    status, body = ask(address, f"/lmkernel/{path}", {"model": "tiny", **document})
    assert status == 200, body
    return body


def prompt(model: LanguageModel) -> list[int]:
    return model.tokenizer.encode(model.tokenizer.chat(MESSAGES), special_tokens=False)


def log_softmax(logits: Any) -> Any:
    wide = np.asarray(logits, np.float64)
    wide = wide - wide.max(-1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(-1, keepdims=True))


def test_attention_is_the_librarys(address: str, model: LanguageModel) -> None:
    found = asked("attention", address, messages=MESSAGES, answer=[5, 9, 7])
    ids = [*prompt(model), 5, 9, 7]
    assert [token["id"] for token in found["tokens"]] == ids
    assert (found["layers"], found["heads"]) == (2, 6)
    assert [one["layer"] for one in found["weights"]] == [0, 1]
    expected = model.attention_weights(ids)[:, :, -1].astype(np.float64)
    assert [one["heads"] for one in found["weights"]] == expected.tolist()
    assert expected.sum(-1) == pytest.approx(1, abs=1e-5)


def test_attention_of_chosen_layers(address: str, model: LanguageModel) -> None:
    found = asked("attention", address, prompt="the cat", layers=[-1])
    expected = model.attention_weights("the cat", [-1])[:, :, -1].astype(np.float64)
    assert [one["heads"] for one in found["weights"]] == expected.tolist()
    assert [one["layer"] for one in found["weights"]] == [1]


def test_the_lens_is_the_models_norm_and_head_on_its_hidden_states(
    address: str, model: LanguageModel
) -> None:
    found = asked("lens", address, messages=MESSAGES, answer=[5, 9], token=17, top=4)
    ids = [*prompt(model), 5, 9]
    states = model.hidden_states(ids)[:, -1].astype(np.float64)
    tensors = model.files.tensors
    table = tensors.read("model.embed_tokens.weight", "float32").astype(np.float64)
    scale = tensors.read("model.norm.weight", "float32").astype(np.float64)
    early = states[:-1]
    early = early / np.sqrt((early**2).mean(-1, keepdims=True) + 1e-5) * scale
    expected = log_softmax(np.concatenate([early, states[-1:]]) @ table.T)
    assert [one["layer"] for one in found["layers"]] == [0, 1, 2]
    for one, row in zip(found["layers"], expected, strict=True):
        order = np.argsort(-row, kind="stable")
        assert [token["id"] for token in one["top"]] == order[:4].tolist()
        assert [t["logprob"] for t in one["top"]] == pytest.approx(row[order[:4]], abs=1e-4)
        assert one["chosen"]["logprob"] == pytest.approx(row[17], abs=1e-4)
        assert one["chosen"]["rank"] == order.tolist().index(17) + 1


def test_the_lens_ends_with_the_models_own_answer(address: str, model: LanguageModel) -> None:
    [*_, last] = asked("lens", address, prompt="the cat", top=3)["layers"]
    expected = log_softmax(model.logits("the cat")[-1])
    assert [t["logprob"] for t in last["top"]] == pytest.approx(
        np.sort(expected)[::-1][:3], abs=1e-5
    )
    assert last["chosen"] is None


def test_tokens_of_a_chat_have_ids(client: openai.OpenAI, model: LanguageModel) -> None:
    answer = client.chat.completions.create(
        model="tiny", messages=MESSAGES, max_tokens=6, temperature=0, logprobs=True, top_logprobs=2
    )
    assert answer.choices[0].logprobs
    content: list[Any] = answer.choices[0].logprobs.content or []
    expected = model.chat("the cat?", max_new_tokens=6).tokens
    assert [entry.id for entry in content] == list(expected)
    assert [entry.top_logprobs[0].id for entry in content] == list(expected)


def test_a_continued_answer_is_the_rest(address: str, model: LanguageModel) -> None:
    whole = model.chat("the cat?", max_new_tokens=12)
    rest = asked(
        "continue",
        address,
        messages=MESSAGES,
        answer=list(whole.tokens[:5]),
        max_tokens=7,
        temperature=0,
        logprobs=True,
    )
    [choice] = rest["choices"]
    assert [entry["id"] for entry in choice["logprobs"]["content"]] == list(whole.tokens[5:])
    begun = model.tokenizer.decode(whole.tokens[:5])
    assert begun + choice["message"]["content"] == whole.text


def test_models_say_where_they_compute(address: str) -> None:
    status, body = ask(address, "/lmkernel/models")
    assert status == 200
    [own] = body["data"]
    assert own == {
        "id": "tiny",
        "generates": True,
        "sees": False,
        "hears": False,
        "context": 256,
        "end_ids": [2, 0],
        "backend": "numpy",
        "device": "cpu",
        "dtype": "float32",
    }


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("attention", {}, "expected prompt or messages"),
    ("attention", {"prompt": "a", "messages": MESSAGES}, "expected prompt or messages"),
    ("attention", {"prompt": "a", "layers": [2]}, "layers: expected numbers in -2 … 1, got [2]"),
    ("attention", {"prompt": "a", "layers": []}, "layers: "),
    ("attention", {"prompt": "a", "answer": [340]}, "expected token ids in 0 … 339, got 340"),
    ("attention", {"prompt": "a", "head": 1}, "head: this server does not know this field"),
    ("attention", {"prompt": "a " * 400}, "the model's context"),
    ("attention", {"prompt": "", "add_special_tokens": False}, "prompt: expected at least one"),
    ("lens", {"prompt": "a", "token": 340}, "token: expected an id in 0 … 339, got 340"),
    ("lens", {"prompt": "a", "top": 21}, "top: "),
    ("continue", {"messages": MESSAGES}, "answer: "),
    ("continue", {"messages": MESSAGES, "answer": []}, "answer: "),
    ("continue", {"messages": MESSAGES, "answer": [340]}, "answer: expected token ids"),
    (
        "continue",
        {"messages": MESSAGES, "answer": [5], "response_format": {"type": "json_object"}},
        "answer: expected neither",
    ),
]


@pytest.mark.parametrize(("path", "document", "said"), REFUSED)
def test_what_cannot_be_shown_is_refused(
    address: str, path: str, document: dict[str, Any], said: str
) -> None:
    status, body = ask(address, f"/lmkernel/{path}", {"model": "tiny", **document})
    assert status == 400, body
    assert said in body["error"]["message"]


@pytest.fixture(name="held")
def held_fixture(tiny: Any, serving: Any, tmp_path: Path) -> Iterator[tuple[str, Any, Any]]:
    """A server whose model does nothing until it is let go, how to do that, and its worker."""
    own, go = tiny(tmp_path / "own"), threading.Event()
    served = Served("tiny", own, most_rows=1, most_waiting=1)
    with serving(served) as address:
        served.worker._sent.append(go.wait)
        with served.worker._wake:
            served.worker._wake.notify()
        yield address, go, served.worker
        go.set()


def metrics(address: str) -> str:
    with closing(http.client.HTTPConnection(address.removeprefix("http://"))) as connection:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()


def sent(address: str) -> http.client.HTTPConnection:
    """A view that was asked for, and not answered yet."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"))
    body = json.dumps({"model": "tiny", "prompt": "the cat"})
    connection.request("POST", "/lmkernel/lens", body)
    return connection


def test_views_wait_in_a_bounded_queue(held: tuple[str, Any, Any]) -> None:
    address, go, _ = held
    with contextlib.ExitStack() as stack:
        asked = [stack.enter_context(closing(sent(address))) for _ in range(3)]
        # two wait; the third is refused, whichever of them it is
        read, _, _ = select.select([one.sock for one in asked], [], [], 30)
        [refused] = [one for one in asked if one.sock in read]
        answer = refused.getresponse()
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
        go.set()
        assert [one.getresponse().status for one in asked if one is not refused] == [200, 200]


def test_a_view_is_not_computed_for_who_has_gone(
    held: tuple[str, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (address, go, worker), computed = held, []
    monkeypatch.setattr("lmkernel_serve.views.lens_logits", lambda *_: computed.append(1))
    with closing(sent(address)):
        while worker._places == 0:
            time.sleep(0.005)
    while 'path="/lmkernel/lens",status="499"} 1.0' not in metrics(address):
        time.sleep(0.005)
    go.set()
    assert ask(address, "/lmkernel/attention", {"model": "tiny", "prompt": "a"})[0] == 200
    assert computed == []


def test_a_view_that_would_fill_the_memory_is_refused(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmkernel_serve.views._MOST", 4 * 2 * 6)
    status, body = ask(address, "/lmkernel/attention", {"model": "tiny", "prompt": "the cat?"})
    assert status == 400
    assert "ask for fewer layers, or a shorter text" in body["error"]["message"]
