"""Limits, the key, clients that leave, and steps that fail."""

from __future__ import annotations

import json
import socket
import threading
import time
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
CHAT = "/v1/chat/completions"


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
    # Greedy: a token that was drawn could be the last one, and the row would end by itself.
    body = {"model": "tiny", "messages": MESSAGES, "max_tokens": 200, "temperature": 0}
    with start(address, {**body, "stream": stream}):
        until(lambda: own.worker.waiting)
        permits.release(3)
        until(lambda: own.worker.running == 1)
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


def test_a_long_body_is_refused_before_it_is_read(slow: Any, post: Any) -> None:
    address, _, _ = slow
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")
    assert post(address, CHAT, b" " * 1001)[0] == 413


def test_a_long_body_that_nobody_announced_is_refused_before_its_end(slow: Any) -> None:
    address, _, _ = slow
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + 2 * (b"258\r\n" + b" " * 600 + b"\r\n"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_a_client_that_goes_before_its_body_has_come_is_no_fault(
    slow: Any, get: Any, caplog: pytest.LogCaptureFixture
) -> None:
    address, _, _ = slow
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n"
        connection.sendall(head.encode() + b"{")
    left = f'lmkernel_requests_total{{path="{CHAT}",status="499"}} 1.0'
    until(lambda: left in get(address, "/metrics"))
    assert "a request failed" not in caplog.text


def test_the_time_of_a_request_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serving: Any, tiny: Any, post: Any
) -> None:
    from lmkernel.generation import Scheduler

    monkeypatch.setattr(Scheduler, "step", lambda _: [])
    own = Served("tiny", tiny(tmp_path / "tiny"))
    with serving(own, limits=Limits(seconds=0.05)) as address:
        status, answer = post(address, CHAT, {"model": "tiny", "messages": MESSAGES})
        assert (status, answer["error"]["code"]) == (504, "timeout")
        monkeypatch.undo()


def test_the_key_is_asked_for(tmp_path: Path, serving: Any, tiny: Any, get: Any) -> None:
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serving: Any, tiny: Any, post: Any
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
