"""The worker that asks a server, before a server made for the test."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

QUESTIONS = ["one?", "two?", "three?"]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "workers"))
    return importlib.import_module("serve")


@pytest.fixture
def asked() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """A port, and what was asked there; the answer to every question has seven tokens."""
    seen: list[dict[str, Any]] = []

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(body)
            text = body["messages"][0]["content"].upper()
            made = {
                "choices": [{"message": {"content": text}}],
                "usage": {"completion_tokens": 7},
            }
            wrong = body["messages"][0]["content"] == "wrong"
            self.send_response(500 if wrong else 200)
            self.end_headers()
            self.wfile.write(json.dumps(made).encode())

        def log_message(self, *args: object) -> None:
            del args

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], seen
        server.shutdown()
        thread.join()


def task(worker: Any, **changed: Any) -> Any:
    plain = {"model": "m", "group": "lmkernel", "variant": "torch", "questions": QUESTIONS}
    return worker.Task(**{**plain, "new_tokens": 9, "repeats": 2, **changed})


def test_every_client_asks_its_own_question(worker: Any, asked: Any) -> None:
    port, seen = asked
    speed, waits, texts = worker.measure(port, task(worker), 3)
    assert sorted(body["messages"][0]["content"] for body in seen) == sorted(2 * QUESTIONS)
    assert {(body["max_tokens"], body["temperature"]) for body in seen} == {(9, 0)}
    assert texts == ["ONE?", "TWO?", "THREE?"]
    assert len(waits) == 6
    assert 0 < speed <= 6 * 7 / max(waits)


def test_an_answer_that_is_none_ends_the_run(worker: Any, asked: Any) -> None:
    with pytest.raises(SystemExit, match="the server answered 500"):
        worker.ask(asked[0], task(worker), "wrong")


def test_a_server_that_ends_says_its_last_line(worker: Any) -> None:
    command = [sys.executable, "-c", "print('first'); print('no such model'); raise SystemExit(1)"]
    with (
        pytest.raises(SystemExit, match=r"^the server ended: no such model$"),
        worker.server(command, worker.free_port()),
    ):
        pass


def test_a_server_is_stopped_and_waited_for(worker: Any) -> None:
    port = worker.free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with worker.server(command, port):
        pass
    with pytest.raises(OSError, match="refused"):
        worker.ask(port, task(worker), "one?")


@pytest.mark.parametrize(
    ("group", "variant", "holds"),
    [
        ("lmkernel", "jax", "lmkernel.cli serve m --backend jax --max-batch 3 --host 127.0.0.1"),
        ("server", "transformers", "serve m --device cpu --dtype float32 --host 127.0.0.1"),
        ("server", "transformers-batching", "float32 --continuous-batching --host 127.0.0.1"),
        ("server", "llama-cpp", "llama_cpp.server --model m --n_ctx 2048 --host 127.0.0.1"),
    ],
)
def test_each_is_started_at_its_port(worker: Any, group: str, variant: str, holds: str) -> None:
    command, packages = task(worker, group=group, variant=variant).command(4321)
    assert f"{holds} --port 4321" in " ".join(command)
    assert packages
