"""A server: starts it, asks it as one client and as many, and stops it.

Clients are threads of this process with one connection each; they parse nothing but the answer.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from common import available_processors

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 300.0
"""Seconds within which a server has to answer its first request."""


@dataclass(frozen=True)
class Task:
    """What to measure, as the driver wrote it.

    Args:
        model: folder in Hugging Face's layout, or a GGUF file for llama.cpp.
        group: ``lmkernel``, or ``server`` for a rival.
        variant: the backend, or the rival.
        questions: one for each client.
        new_tokens: the most of an answer.
        repeats: how often each client asks.
    """

    model: str
    group: str
    variant: str
    questions: list[str]
    new_tokens: int
    repeats: int

    def command(self, port: int) -> tuple[list[str], list[str]]:
        """The server's command, and the distributions that it runs."""
        listen = ["--host", "127.0.0.1", "--port", str(port)]
        module = [sys.executable, "-m"]
        clients = str(len(self.questions))
        if self.group == "lmkernel":
            own = ["lmkernel.cli", "serve", self.model, "--backend", self.variant]
            return [*module, *own, "--max-batch", clients, *listen], ["lmkernel", "lmkernel-serve"]
        if self.variant == "llama-cpp":
            own = ["llama_cpp.server", "--model", self.model, "--n_ctx", "2048"]
            return [*module, *own, *listen], ["llama-cpp-python"]
        script = str(Path(sys.executable).with_name("transformers"))
        how = ["--continuous-batching"] if self.variant.endswith("batching") else []
        own = ["serve", self.model, "--device", "cpu", "--dtype", "float32", *how]
        return [script, *own, *listen], ["transformers", "torch"]


def ask(port: int, task: Task, question: str) -> tuple[int, float, str]:
    """The number of new tokens, the seconds that they took, and the text."""
    body = {
        "model": task.model,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": task.new_tokens,
        "temperature": 0,
    }
    began = time.perf_counter()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=600)) as link:
        link.request(
            "POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"}
        )
        answer = link.getresponse()
        read = answer.read()
    if answer.status != 200:  # noqa: PLR2004 - HTTP's own number
        raise SystemExit(f"the server answered {answer.status}: {read[:300].decode()}")
    found: dict[str, Any] = json.loads(read)
    text = found["choices"][0]["message"]["content"]
    return found["usage"]["completion_tokens"], time.perf_counter() - began, text


def measure(port: int, task: Task, clients: int) -> tuple[float, list[float], list[str]]:
    """Tokens a second of so many clients together, seconds of each answer, and the texts."""

    def client(question: str) -> list[tuple[int, float, str]]:
        return [ask(port, task, question) for _ in range(task.repeats)]

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        rows = [row for rows in pool.map(client, task.questions[:clients]) for row in rows]
    seconds = time.perf_counter() - began
    texts = [text for _, _, text in rows[:: task.repeats]]
    return sum(count for count, _, _ in rows) / seconds, [each for _, each, _ in rows], texts


@contextlib.contextmanager
def server(command: list[str], port: int) -> Iterator[None]:
    """A server that listens; it is asked to stop, and waited for."""
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(  # noqa: S603 - one of the three commands above
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            wait(child, port, log)
            yield
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(60)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def wait(child: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    """Until something listens at the port."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if child.poll() is not None:
            log.seek(0)
            lines = log.read().decode(errors="replace").strip().splitlines()
            raise SystemExit(f"the server ended: {lines[-1] if lines else 'it wrote nothing'}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    raise SystemExit(f"the server did not listen within {PATIENCE:g} s")


def free_port() -> int:
    """A port at which nothing listens now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def main() -> None:
    """Start, ask once unmeasured, measure, stop, print."""
    task = Task(**json.loads(sys.argv[1]))
    port = free_port()
    command, packages = task.command(port)
    with server(command, port):
        measure(port, task, len(task.questions))  # compiles and warms up, at both sizes
        ask(port, task, task.questions[0])
        one, _, _ = measure(port, task, 1)
        many, waits, texts = measure(port, task, len(task.questions))
    result = {
        "median": {"one": one, "many": many, "wait": statistics.median(waits)},
        "texts": texts,
        "threads": available_processors(),
        "versions": {name: version(name) for name in packages},
    }
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
