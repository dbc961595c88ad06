"""Runs cases in processes of their own, so that a backend that crashes or hangs costs one case.

Constraints: this process never imports the backend. Each worker runs one case at a time within a
time limit; one that dies or takes too long is replaced, and the case that it ran is named. One
that keeps too much memory (a compiler's results, say) is replaced between two cases.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lmkernel_conformance.manifest import Key

__all__ = ["Plan", "Worker", "run"]

_START_LIMIT = 300.0
_END_LIMIT = 10.0
_MOST_RESTARTS = 50
_MOST_KEPT = 2 << 30
"""Bytes that a worker may keep beyond what it had after its first case."""
_SEED = "LMKERNEL_CONFORMANCE_SEED"

Answer = dict[str, Any]


@final
@dataclass(frozen=True, kw_only=True)
class Plan:
    """How cases are run.

    Args:
        backend: its name.
        device: as `lmkernel.load_backend` takes it.
        jobs: worker processes at a time.
        limit: seconds that one case may take.
        seed: of the inputs, if they are to be fresh.
        strict: whether products of float32 are computed in float32, or as the framework is set.
    """

    backend: str
    device: str | None = None
    jobs: int = 2
    limit: float = 240.0
    seed: int | None = None
    strict: bool = False

    @property
    def command(self) -> list[str]:
        """What starts a worker."""
        options = ["--device", self.device] if self.device else []
        options += ["--strict"] if self.strict else []
        return [
            sys.executable,
            "-m",
            "lmkernel_conformance.isolation.worker",
            self.backend,
            *options,
        ]

    @property
    def environment(self) -> dict[str, str]:
        """The user's own, but for what changes inputs."""
        kept = {name: value for name, value in os.environ.items() if name != _SEED}
        return kept if self.seed is None else {**kept, _SEED: str(self.seed)}


def run(
    plan: Plan, keys: Iterable[Key], told: Callable[[Answer], None] = lambda _: None
) -> tuple[Answer, list[Answer]]:
    """The first greeting of a worker, and an answer for each key, in the order of the keys.

    Args:
        plan: how they are run.
        keys: what to run.
        told: called with each answer as it comes.
    """
    session = _Session(plan, list(keys), told)
    threads = [threading.Thread(target=session.serve) for _ in range(max(1, plan.jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return session.greeting, [session.answers[key] for key in session.keys]


@final
class _Session:
    """What the threads share: keys still to run, answers, how many workers were replaced."""

    def __init__(self, plan: Plan, keys: list[Key], told: Callable[[Answer], None]) -> None:
        self.plan, self.keys, self._told = plan, keys, told
        self.greeting: Answer = {}
        self.answers: dict[Key, Answer] = {}
        self._waiting = collections.deque(keys)
        self._restarts = 0
        self._lock = threading.Lock()

    def serve(self) -> None:
        """Run cases, on as many workers, one after the other, as it takes."""
        while self._waiting and self._restarts <= _MOST_RESTARTS:
            with Worker(self.plan) as worker:
                if not self._greeted(worker):
                    break
                self._until_it_ends(worker)
        while (key := self._next()) is not None:
            self._keep(key, _answer(key, "failed", self.greeting.get("error", _TOO_OFTEN)))

    def _greeted(self, worker: Worker) -> bool:
        hello = worker.greeting()
        with self._lock:
            same = not self.greeting or self.greeting == hello
            self.greeting = self.greeting or hello
        if not same:
            self.greeting = {"error": "the backend declares something else in another process"}
        return same and "error" not in hello

    def _until_it_ends(self, worker: Worker) -> None:
        at_first = None
        while (key := self._next()) is not None:
            answer = worker.ask(key, self.plan.limit)
            memory = answer.pop("memory", None)
            self._keep(key, answer)
            if answer["outcome"] in ("crashed", "hung"):
                self._restarts += 1
                return
            at_first = at_first or memory
            if memory is not None and memory - at_first > _MOST_KEPT:
                return

    def _next(self) -> Key | None:
        try:
            return self._waiting.popleft()
        except IndexError:
            return None

    def _keep(self, key: Key, answer: Answer) -> None:
        with self._lock:
            self.answers[key] = answer
            self._told(answer)


_TOO_OFTEN = f"not run: {_MOST_RESTARTS} workers had crashed or hung before"


def _answer(key: Key, outcome: str, message: str) -> Answer:
    name = outcome.capitalize()
    about = {"case": key.case, "dtype": key.dtype, "outcome": outcome, "exception": name}
    return {**about, "message": message, "seconds": 0.0}


@final
class Worker:
    """One process, with a thread that reads its answers."""

    def __init__(self, plan: Plan) -> None:
        self._errors = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - it lives as long as the worker
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            plan.command,
            env=plan.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._errors):
            if stream is not None:
                _closed(stream)

    def greeting(self) -> Answer:
        """What it loaded, or why it could not."""
        try:
            hello = self.listen(_START_LIMIT)
        except TimeoutError:
            return {"error": f"the backend was not loaded within {_START_LIMIT:g} seconds"}
        return hello or {"error": f"the backend cannot be loaded: {self.ending}"}

    def ask(self, key: Key, limit: float, **more: Any) -> Answer:
        """Run one case, or with ``drawn`` an example of one; an answer comes in any event."""
        self._say({"case": key.case, "dtype": key.dtype, **more})
        try:
            answer = self.listen(limit)
        except TimeoutError:
            return _answer(key, "hung", f"no result within {limit:g} seconds")
        if answer is None:
            return _answer(key, "crashed", f"the process of the backend ended: {self.ending}")
        if (answer.get("case"), answer.get("dtype")) != (key.case, key.dtype):
            return _answer(key, "crashed", f"the answer is that of {answer.get('case')}")
        return answer

    def listen(self, limit: float) -> Answer | None:
        """The next answer, or None if there will be none; raises `TimeoutError`."""
        try:
            line = self._lines.get(timeout=limit)
        except queue.Empty:
            raise TimeoutError from None
        try:
            answer = json.loads(line) if line is not None else None
        except ValueError:
            return None
        return answer if isinstance(answer, dict) else None

    @property
    def ending(self) -> str:
        """How the process ended, and what it said of that."""
        try:
            code = self._process.wait(timeout=_END_LIMIT)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        fatal = [line for line in lines if line.startswith("Fatal Python error")]
        said = (fatal or lines[-1:] or [""])[-1]
        ended = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"{ended} {said}".strip()

    def _read(self) -> None:
        if self._process.stdout is not None:
            with self._process.stdout as lines:
                for line in lines:
                    self._lines.put(line)
        self._lines.put(None)

    def _say(self, asked: dict[str, Any]) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # it has ended, which the next answer tells
                self._process.stdin.write(json.dumps(asked) + "\n")
                self._process.stdin.flush()


def _closed(stream: Any) -> None:
    with contextlib.suppress(OSError):  # the process that read from it is gone
        stream.close()
