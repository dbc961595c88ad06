"""What is refused and how, limits, the key, clients that leave, and an orderly end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import openai
import pytest
from lmkernel_serve.app import Limits
from lmkernel_serve.served import Served
from starlette.testclient import TestClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MESSAGES: list[Any] = [{"role": "user", "content": "the cat?"}]


def post(address: str, path: str, body: Any) -> tuple[int, Any]:
    import http.client

    connection = http.client.HTTPConnection(address.removeprefix("http://"))
    with closing(connection):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


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
    (CHAT, {"model": "tiny", "messages": MESSAGES, "n": 5}, 400, "choices: expected at most 4"),
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
    (CHAT, {"model": "tiny", "messages": MESSAGES, "stream_options": {}}, 400, "stream_options: "),
    (
        "/v1/completions",
        {"model": "tiny", "prompt": ""},
        400,
        "prompt: expected at least one token",
    ),
    ("/v1/completions", {"model": "tiny", "prompt": []}, 400, "prompt"),
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
    ("/v1/embeddings", {"model": "tiny", "input": [""]}, 400, "input: "),
    ("/v1/embeddings", {"model": "tiny", "input": [[3, 4]]}, 400, "input: "),
    ("/tokenize", {"model": "tiny"}, 400, "expected prompt or messages"),
    ("/v1/nothing", {}, 404, "Not Found"),
    ("/v1/models", {}, 405, "Method Not Allowed"),
]


@pytest.mark.parametrize(("path", "body", "status", "message"), REFUSED)
def test_what_cannot_be_done_is_refused_by_name(
    address: str, path: str, body: Any, status: int, message: str
) -> None:
    got, answer = post(address, path, body)
    assert got == status, answer
    assert set(answer) == {"error"}
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert message in answer["error"]["message"]
    assert answer["error"]["type"] == "invalid_request_error"


def test_one_bad_request_leaves_the_others(address: str, client: openai.OpenAI) -> None:
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


def test_models_are_listed(client: openai.OpenAI) -> None:
    [card] = client.models.list().data
    assert (card.id, card.object, card.owned_by) == ("tiny", "model", "lmkernel")
    assert card.created > 1_600_000_000
    assert client.models.retrieve("tiny").model_extra == {"max_model_len": 256}
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("huge")
    assert caught.value.code == "model_not_found"


def test_tokens_of_texts_and_chats(address: str, model: Any) -> None:
    _, text = post(address, "/tokenize", {"model": "tiny", "prompt": "the cat"})
    assert text == {
        "tokens": (ids := model.token_ids("the cat")),
        "count": len(ids),
        "max_model_len": 256,
    }
    _, chat = post(address, "/tokenize", {"messages": MESSAGES})
    rendered = model.tokenizer.chat(MESSAGES)
    assert chat["tokens"] == model.token_ids(rendered, special_tokens=False)


def get(address: str, path: str) -> str:
    import urllib.request

    with urllib.request.urlopen(address + path) as answer:  # noqa: S310 - of our own server
        return str(answer.read().decode())


def test_health_and_metrics(address: str, client: openai.OpenAI) -> None:
    assert json.loads(get(address, "/health")) == {"status": "ok"}
    before = counted(address)
    client.completions.create(model="tiny", prompt="the cat", max_tokens=7, temperature=0)
    assert counted(address) == before + 7
    assert 'lmkernel_requests_total{path="/v1/completions",status="200"}' in get(
        address, "/metrics"
    )


def counted(address: str) -> float:
    found = re.search(
        r'lmkernel_generated_tokens_total{model="tiny"} (\S+)', get(address, "/metrics")
    )
    return float(found[1]) if found else 0.0


def running(address: str) -> float:
    found = re.search(r'lmkernel_answers_running{model="tiny"} (\S+)', get(address, "/metrics"))
    assert found
    return float(found[1])


def until(holds: Callable[[], object]) -> None:
    for _ in range(2000):
        if holds():
            return
        time.sleep(0.005)
    raise AssertionError


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serving: Any, tiny: Any) -> Any:
    """A model whose steps wait for a permit each."""
    from lmkernel.generation import Scheduler

    permits = threading.Semaphore(0)
    step = Scheduler.step

    def patient(self: Scheduler) -> Any:
        permits.acquire()
        return step(self)

    monkeypatch.setattr(Scheduler, "step", patient)
    own = Served("tiny", tiny(tmp_path / "tiny"), most_rows=1, most_waiting=1)
    with serving(own, limits=Limits(body=1000)) as address:
        yield address, own, permits
        permits.release(10_000)


def start(address: str, body: dict[str, Any]) -> socket.socket:
    """A connection with a request on its way."""
    host, port = address.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    data = json.dumps(body).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
    connection.sendall(head.encode() + data)
    return connection


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_frees_its_row_within_a_step(slow: Any, stream: bool) -> None:
    address, own, permits = slow
    body = {"model": "tiny", "messages": MESSAGES, "max_tokens": 200, "stream": stream}
    leaver = start(address, body)
    until(lambda: own.worker._scheduler.waiting)
    permits.release(3)
    until(lambda: own.worker.running == 1)
    leaver.close()
    until(lambda: not own.worker._readers)
    permits.release(2)
    until(lambda: own.worker.running == 0)


def test_a_full_queue_says_so(slow: Any) -> None:
    address, own, permits = slow
    body = {"model": "tiny", "messages": MESSAGES, "max_tokens": 3, "temperature": 0}
    waiters = [start(address, body) for _ in range(2)]
    until(lambda: len(own.worker._readers) == 2)
    with (
        pytest.raises(openai.RateLimitError) as caught,
        openai.OpenAI(base_url=f"{address}/v1", api_key="-", max_retries=0) as client,
    ):
        client.chat.completions.create(**body)
    assert caught.value.response.headers["retry-after"] == "1"
    assert caught.value.code == "queue_full"
    permits.release(10)
    for waiter in waiters:
        with waiter:
            assert waiter.recv(100).startswith(b"HTTP/1.1 200")


def test_a_long_body_is_refused_before_it_is_read(slow: Any) -> None:
    address, _, _ = slow
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")
    assert post(address, CHAT, b" " * 1001)[0] == 413


def test_the_time_of_a_request_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serving: Any, tiny: Any
) -> None:
    from lmkernel.generation import Scheduler

    monkeypatch.setattr(Scheduler, "step", lambda _: [])
    own = Served("tiny", tiny(tmp_path / "tiny"))
    with serving(own, limits=Limits(seconds=0.05)) as address:
        status, answer = post(address, CHAT, {"model": "tiny", "messages": MESSAGES})
        assert (status, answer["error"]["code"]) == (504, "timeout")
        monkeypatch.undo()


def test_the_key_is_asked_for(tmp_path: Path, serving: Any, tiny: Any) -> None:
    with serving(Served("tiny", tiny(tmp_path / "tiny")), key="sesame") as address:
        assert json.loads(get(address, "/health")) == {"status": "ok"}
        for wrong in ("sesam", "sesame2", "Sesame"):
            with (
                pytest.raises(openai.AuthenticationError),
                openai.OpenAI(base_url=f"{address}/v1", api_key=wrong, max_retries=0) as client,
            ):
                client.models.list()
        with openai.OpenAI(base_url=f"{address}/v1", api_key="sesame") as client:
            assert client.models.list().data


def test_the_key_is_compared_in_constant_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Any
) -> None:
    import hmac

    from lmkernel_serve.app import make_app

    compared: list[tuple[bytes, bytes]] = []
    digest = hmac.compare_digest
    monkeypatch.setattr(
        hmac, "compare_digest", lambda a, b: compared.append((a, b)) or digest(a, b)
    )
    own = Served("tiny", tiny(tmp_path / "tiny"))
    client = TestClient(make_app([own], key="sesame"))
    assert client.get("/v1/models", headers={"Authorization": "Bearer wrong"}).status_code == 401
    own.worker.close()
    assert compared == [(b"wrong", b"sesame")]


def test_a_step_that_fails_is_told_and_the_server_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serving: Any, tiny: Any
) -> None:
    from lmkernel.generation import Scheduler

    own = Served("tiny", tiny(tmp_path / "tiny"))
    body = {"model": "tiny", "messages": MESSAGES, "max_tokens": 3}
    with serving(own) as address:
        with monkeypatch.context() as patch:
            patch.setattr(Scheduler, "step", lambda _: 1 / 0)
            status, answer = post(address, CHAT, body)
        assert (status, answer["error"]["type"]) == (500, "server_error")
        assert "division" not in answer["error"]["message"]
        assert post(address, CHAT, body)[0] == 200


def test_the_command_serves_and_ends_in_order(tmp_path: Path, tiny: Any) -> None:
    tiny(tmp_path / "tiny")
    program = "import sys; from lmkernel.cli.main import main; sys.exit(main())"
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        program,
        "serve",
        f"mine={tmp_path / 'tiny'}",
        "--port",
        "0",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        said = process.stderr.readline() if process.stderr else ""
        found = re.search(r"mine at (http://\S+)/v1", said)
        assert found, said
        with openai.OpenAI(base_url=f"{found[1]}/v1", api_key="-", max_retries=0) as client:
            more = {"extra_body": {"ignore_eos": True}, "stream": True}
            stream = client.completions.create(model="mine", prompt="the", max_tokens=200, **more)
            chunks = [next(iter(stream))]
            process.send_signal(signal.SIGTERM)
            chunks += list(stream)  # what runs is finished
        assert chunks[-1].choices[0].finish_reason == "length"
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "set a key with --key or LMKERNEL_SERVE_KEY"),  # noqa: S104 - it is refused
        (["--max-batch", "0"], "--max-batch: expected at least 1, got 0"),
        (["--timeout", "nan"], "--timeout: expected a positive number"),
        (["x=smollm2", "x=other"], "two models are called 'x'"),
    ],
)
def test_commands_that_make_no_sense_are_refused(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from lmkernel.cli.main import main

    monkeypatch.delenv("LMKERNEL_SERVE_KEY", raising=False)
    assert main(["serve", "smollm2-135m-instruct", *arguments]) == 1
    assert message in " ".join(capsys.readouterr().err.split())
