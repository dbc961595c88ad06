"""What Prometheus reads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmkernel_serve.served import Served

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@final
class Metrics:
    """Counters of one server.

    Args:
        models: those that it serves.
    """

    def __init__(self, models: Iterable[Served]) -> None:
        self._registry = own = CollectorRegistry()
        of_model = ["model"]
        self._requests = Counter(
            "lmkernel_requests", "Requests answered", ["path", "status"], registry=own
        )
        self._prompt = Counter("lmkernel_prompt_tokens", "Of prompts", of_model, registry=own)
        self._drawn = Counter("lmkernel_generated_tokens", "Of answers", of_model, registry=own)
        self._sound = Counter("lmkernel_sound_seconds", "Of sounds", of_model, registry=own)
        self._first = Histogram(
            "lmkernel_first_token_seconds",
            "Until the first token",
            of_model,
            registry=own,
            buckets=_SECONDS,
        )
        self._gap = Histogram(
            "lmkernel_token_gap_seconds",
            "Between two tokens",
            of_model,
            registry=own,
            buckets=_SECONDS,
        )
        running = Gauge("lmkernel_answers_running", "Being written", of_model, registry=own)
        waiting = Gauge("lmkernel_requests_waiting", "Not begun", of_model, registry=own)
        for model in models:
            running.labels(model.name).set_function(partial(getattr, model.worker, "running"))
            waiting.labels(model.name).set_function(partial(getattr, model.worker, "waiting"))

    def answered(self, path: str, status: int) -> None:
        """A request was answered."""
        self._requests.labels(path, str(status)).inc()

    def begin(self, model: str, prompt: int) -> None:
        """A prompt was taken in."""
        self._prompt.labels(model).inc(prompt)

    def hear(self, model: str, seconds: float) -> None:
        """A sound of so many seconds was taken in."""
        self._sound.labels(model).inc(seconds)

    def token(self, model: str, seconds: float, *, first: bool) -> None:
        """A token has come, so long after the request or the token before."""
        self._drawn.labels(model).inc()
        (self._first if first else self._gap).labels(model).observe(seconds)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self._registry)
