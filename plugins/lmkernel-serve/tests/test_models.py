"""Models, tokens, health and metrics."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import openai
import pytest
from lmkernel_serve.app import make_app
from lmkernel_serve.served import Served
from starlette.routing import Route

if TYPE_CHECKING:
    from pathlib import Path

MESSAGES: list[Any] = [{"role": "user", "content": "the cat?"}]


def test_models_are_listed(client: openai.OpenAI) -> None:
    [card] = client.models.list().data
    assert (card.id, card.object, card.owned_by) == ("tiny", "model", "lmkernel")
    assert card.created > 1_600_000_000
    assert client.models.retrieve("tiny").model_extra == {"max_model_len": 256}
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("huge")
    assert caught.value.code == "model_not_found"


def test_tokens_of_texts_and_chats(address: str, model: Any, post: Any) -> None:
    _, text = post(address, "/tokenize", {"model": "tiny", "prompt": "the cat"})
    assert text == {
        "tokens": (ids := model.token_ids("the cat")),
        "count": len(ids),
        "max_model_len": 256,
    }
    _, chat = post(address, "/tokenize", {"messages": MESSAGES})
    rendered = model.tokenizer.chat(MESSAGES)
    assert chat["tokens"] == model.token_ids(rendered, special_tokens=False)


def test_a_remote_tokenizer_is_the_models(address: str, model: Any, get: Any, post: Any) -> None:
    """The three requests that an evaluation harness makes of a tokenizer."""
    info = json.loads(get(address, "/tokenizer_info"))
    assert (info["bos_token"], info["eos_token"]) == ("<|endoftext|>", "<|im_end|>")
    assert info["chat_template"] == model.tokenizer.chat_template
    text = "the 学<|im_end|>"
    _, ids = post(address, "/tokenize", {"prompt": text, "add_special_tokens": False})
    assert post(address, "/detokenize", {"tokens": ids["tokens"]}) == (200, {"prompt": text})
    assert post(address, "/detokenize", {"tokens": []}) == (200, {"prompt": ""})
    status, answer = post(address, "/detokenize", {"tokens": [340]})
    assert (status, answer["error"]["param"]) == (400, "tokens")


def test_health_and_metrics(address: str, client: openai.OpenAI, get: Any) -> None:
    assert json.loads(get(address, "/health")) == {"status": "ok"}
    before = counted(get(address, "/metrics"))
    client.completions.create(model="tiny", prompt="the cat", max_tokens=7, temperature=0)
    assert counted(get(address, "/metrics")) == before + 7
    assert 'lmkernel_requests_total{path="/v1/completions",status="200"}' in get(
        address, "/metrics"
    )


def counted(text: str) -> float:
    found = re.search(r'lmkernel_generated_tokens_total{model="tiny"} (\S+)', text)
    return float(found[1]) if found else 0.0


def test_the_schema_names_every_path(address: str, get: Any, tmp_path: Path, tiny: Any) -> None:
    document = json.loads(get(address, "/openapi.json"))
    own = Served("tiny", tiny(tmp_path / "tiny"))
    routes = {
        (route.path.replace(":path", ""), method.lower())
        for route in make_app([own]).routes
        # the page's files are no part of the interface
        if isinstance(route, Route) and route.path != "/" and not route.path.startswith("/page/")
        for method in route.methods or ()
        if method != "HEAD"
    }
    own.worker.close()
    told = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert told == routes - {("/openapi.json", "get")}
    chat = document["components"]["schemas"]["ChatDocument"]
    assert chat["additionalProperties"] is False
    assert {"messages", "tools", "response_format"} <= set(chat["properties"])
