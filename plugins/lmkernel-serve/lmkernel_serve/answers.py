"""The answers of a plan, piece by piece, for whoever sends them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from lmkernel.generation import Drawn, Failed, PromptScored, TextGeneration
from lmkernel_serve.errors import as_api_error
from lmkernel_serve.waiting import in_time, watch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from starlette.types import Receive

    from lmkernel.generation import Event, Request, ScoredToken
    from lmkernel_serve.metrics import Metrics
    from lmkernel_serve.plans import Plan
    from lmkernel_serve.served import Served

__all__ = ["Piece", "Usage", "pieces"]


@final
@dataclass(frozen=True)
class Piece:
    """More of one answer.

    Args:
        index: which answer.
        text: what is new.
        tokens: those that were drawn for it, or since the last piece; the end's is not among them.
        reason: why the answer ends here; empty if it goes on.
        echo: whether this is the prompt, whose first token has no score.
    """

    index: int
    text: str
    tokens: Sequence[ScoredToken]
    reason: str = ""
    echo: bool = False


@final
@dataclass
class Usage:
    """How many tokens were fed and drawn."""

    prompt: int
    completion: int = 0

    def json(self) -> dict[str, int]:
        """As answers hold it."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        }


@final
class _Answer:
    """One answer: its text is held back while it may be half a character or a stop."""

    def __init__(self, served: Served, plan: Plan, request: Request, index: int) -> None:
        options, own = request.options, served.model.tokenizer
        self.index = index
        self._text = TextGeneration(
            (),
            own,
            stop=options.stop_strings,
            end_ids=options.end_ids(served.model.end_ids),
            prompt=request.prompt if plan.continues else (),
            shown=plan.calls.shown_ids(own) if plan.calls else (),
        )
        self._ends = options.end_ids(served.model.end_ids)
        self._given = 0
        self._new: list[ScoredToken] = []

    @property
    def finished(self) -> bool:
        return self._text.finished

    def take(self, event: Drawn) -> Piece | None:
        """What is new by one more token, if anything is."""
        token = event.token
        if token.id not in self._ends:
            self._new.append(token)
        self._text.push(token.id, token.log_prob)
        if event.reason:
            self._text.close()
        text = self._text.so_far[self._given :]
        reason = self._text.finish_reason if self._text.finished else ""
        if not (text or reason):
            return None
        self._given += len(text)
        new, self._new = self._new, []
        return Piece(self.index, text, new, reason)


async def pieces(
    served: Served, plan: Plan, usage: Usage, receive: Receive, metrics: Metrics, deadline: float
) -> AsyncGenerator[Piece]:
    """The pieces of all answers, as they come.

    Args:
        served: who answers.
        plan: what is asked; its requests are submitted already, or refused, when this is iterated.
        usage: counts what is drawn.
        receive: tells when the client goes.
        metrics: are told of each token.
        deadline: seconds after which the answers are given up.

    Raises:
        ApiError: the server is full or stopping, the time is over, or a request failed.
        ClientGone: there is nobody to send to.
    """
    queue: asyncio.Queue[Event] = asyncio.Queue()
    served.worker.submit(plan.requests, queue)
    gone = watch(receive)
    reader = _Reader(served, plan, usage)
    try:
        metrics.begin(served.name, usage.prompt)
        last = time.monotonic()
        end = last + deadline
        for piece in reader.prompts():
            yield piece
        while not reader.finished:
            event = await _next(queue, gone, end)
            if isinstance(event, Drawn):
                now = time.monotonic()
                metrics.token(served.name, now - last, first=usage.completion == 0)
                last = now
            for piece in reader.take(event):
                yield piece
    finally:
        gone.cancel()
        served.worker.cancel(plan.requests)


async def _next(queue: asyncio.Queue[Event], gone: asyncio.Future[None], end: float) -> Event:
    return queue.get_nowait() if not queue.empty() else await in_time(queue.get(), gone, end)


@final
class _Reader:
    """All answers of a plan."""

    def __init__(self, served: Served, plan: Plan, usage: Usage) -> None:
        self._served = served
        self._plan = plan
        self._usage = usage
        self._answers: dict[tuple[Request, int], _Answer] = {}
        self._first: dict[Request, int] = {}
        index = 0
        for request in plan.requests:
            self._first[request] = index
            for choice in range(request.choices):
                self._answers[request, choice] = _Answer(served, plan, request, index + choice)
            index += max(request.choices, 1)
        self._unscored = {r for r in plan.requests if r.choices == 0}

    @property
    def finished(self) -> bool:
        return not self._unscored and all(a.finished for a in self._answers.values())

    def prompts(self) -> list[Piece]:
        """Prompts that are repeated as they are, where no scores of them are to come."""
        return [
            piece
            for request in self._plan.requests
            if not request.score_prompt
            for piece in self._echo(request, ())
        ]

    def take(self, event: Event) -> list[Piece]:
        if isinstance(event, Failed):
            raise as_api_error(event.error) from event.error
        if isinstance(event, PromptScored):
            self._unscored.discard(event.request)
            return self._echo(event.request, event.tokens)
        self._usage.completion += 1
        answer = self._answers[event.request, event.choice]
        if answer.finished:
            return []
        piece = answer.take(event)
        if answer.finished and not event.reason:  # a stop string, of which the model knows nothing
            self._served.worker.cancel([event.request], event.choice)
        return [] if piece is None else [piece]

    def _echo(self, request: Request, tokens: Sequence[ScoredToken]) -> list[Piece]:
        if not self._plan.echo:
            return []
        text = self._plan.prompts[list(self._plan.requests).index(request)]
        reason = "" if request.choices else "length"
        first = self._first[request]
        indices = range(first, first + max(request.choices, 1))
        return [Piece(index, text, tokens, reason, echo=True) for index in indices]
