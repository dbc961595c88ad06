"""Runs cases in worker processes, so that a backend that crashes or hangs costs one case.

Constraints: this process never imports the backend. A worker runs one case at a time within a time
limit. One that dies or exceeds the limit is replaced, and the case it ran is reported by name. One
that holds on to too much memory, such as a compiler's results, is replaced between two cases.
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
"""How many bytes a worker may hold beyond what it held after its first case."""
_SEED = "LMKERNEL_CONFORMANCE_SEED"

Answer = dict[str, Any]


@final
@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of a run: the backend, its settings, and the limits of its workers.

    Args:
        backend: the name of the backend.
        device: the device, as `lmkernel.load_backend` takes it.
        jobs: the number of worker processes at a time.
        limit: the seconds that one case may take.
        seed: the seed of the inputs, if they are to be fresh.
        strict: whether float32 products are computed in full float32, without TF32.
    """

    backend: str
    device: str | None = None
    jobs: int = 2
    limit: float = 240.0
    seed: int | None = None
    strict: bool = False

    @property
    def command(self) -> list[str]:
        """The command line of a worker."""
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
        """The environment of a worker: the caller's, with the plan's seed or none."""
        inherited = {name: value for name, value in os.environ.items() if name != _SEED}
        return inherited if self.seed is None else {**inherited, _SEED: str(self.seed)}


def run(
    plan: Plan, keys: Iterable[Key], on_answer: Callable[[Answer], None] = lambda _: None
) -> tuple[Answer, list[Answer]]:
    """Run cases: the greeting of the first worker, and an answer for each key, in their order.

    There are no answers if the backend cannot be loaded; the greeting says why.

    Args:
        plan: the backend and the limits.
        keys: the cases to run, each in a dtype.
        on_answer: a function that gets each answer as it comes.
    """
    session = _Session(plan, list(keys), on_answer)
    threads = [threading.Thread(target=session.serve) for _ in range(max(1, plan.jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answered = session.keys if session.loaded else []
    return session.greeting, [session.answers[key] for key in answered]


@final
class _Session:
    """The state that all threads share: keys still to run, answers, and the number of restarts."""

    def __init__(self, plan: Plan, keys: list[Key], on_answer: Callable[[Answer], None]) -> None:
        self.plan, self.keys, self._on_answer = plan, keys, on_answer
        self.greeting: Answer = {}
        self.answers: dict[Key, Answer] = {}
        self.loaded = False
        self._waiting = collections.deque(keys)
        self._restarts = 0
        self._lock = threading.Lock()

    def serve(self) -> None:
        """Run cases until none is left, in one worker after another."""
        while self._waiting and self._restarts <= _MOST_RESTARTS:
            with Worker(self.plan) as worker:
                if not self._accepts_greeting(worker):
                    break
                self._until_it_ends(worker)
        # Every key gets an answer: those that are left when no worker can be had have failed.
        while self.loaded and (key := self._next()) is not None:
            self._keep(key, _answer(key, "failed", self.greeting.get("error", _TOO_OFTEN)))

    def _accepts_greeting(self, worker: Worker) -> bool:
        """Whether a worker has loaded the backend, and declares what all others declared."""
        hello = worker.greeting()
        with self._lock:
            first = self.greeting = self.greeting or hello
            # What a process says as it ends may differ from one to the next: the first counts.
            same = first == hello or ("error" in first and "error" in hello)
            if not same:
                self.greeting = {"error": "the backend declares something else in another process"}
            accepted = same and "error" not in hello
            self.loaded = self.loaded or accepted
        return accepted

    def _until_it_ends(self, worker: Worker) -> None:
        """Run cases on a worker until there are none left, or it has to be replaced."""
        at_first = None
        while (key := self._next()) is not None:
            answer = worker.ask(key, self.plan.limit)
            memory = answer.pop("memory", None)
            self._keep(key, answer)
            if answer["outcome"] in ("crashed", "hung"):
                self._restarts += 1
                return
            # Measured against the first case, not the start: loading a framework takes memory once.
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
            self._on_answer(answer)


_TOO_OFTEN = f"not run: {_MOST_RESTARTS} workers had crashed or hung before"


def _answer(key: Key, outcome: str, message: str) -> Answer:
    name = outcome.capitalize()
    about = {"case": key.case, "dtype": key.dtype, "outcome": outcome, "exception": name}
    return {**about, "message": message, "seconds": 0.0}


@final
class Worker:
    """One worker process, and a thread that reads its answers.

    The thread lets `listen` wait with a time limit, which reading from a pipe does not offer.
    """

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
                _close(stream)

    def greeting(self) -> Answer:
        """The first answer: what the worker has loaded, or the member ``error``.

        With ``refused`` besides, the backend cannot do what was asked of it, such as to compute on
        a device that is not there.
        """
        try:
            hello = self.listen(_START_LIMIT)
        except TimeoutError:
            return {"error": f"the backend was not loaded within {_START_LIMIT:g} seconds"}
        return hello or {"error": f"the backend cannot be loaded: {self.ending}"}

    def ask(self, key: Key, limit: float, **more: Any) -> Answer:
        """Run one case; there is an answer whatever happens to the process.

        Args:
            key: the case and its dtype.
            limit: the seconds that it may take.
            more: further members of the request, such as an example ``drawn``.
        """
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
        """The next answer, or None if the process has ended.

        Raises:
            TimeoutError: none came within ``limit`` seconds.
        """
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
        """How the process ended: its signal or exit code, and the last line of its errors."""
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
            with contextlib.suppress(OSError):  # it has ended; `listen` will say so
                self._process.stdin.write(json.dumps(asked) + "\n")
                self._process.stdin.flush()


def _close(stream: Any) -> None:
    with contextlib.suppress(OSError):  # the process that read from it is gone
        stream.close()
