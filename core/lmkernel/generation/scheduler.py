"""Many requests on one model: rows join and leave the batch between steps.

Constraints: an answer is what it would be alone, since rows do not see each other and its draws are
keyed by its own seed, number and step. A prompt is fed by itself, in chunks, between the steps of
the others; its row then takes a free place in the batch.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError, shown
from lmkernel.generation.constraints import Constraints
from lmkernel.generation.decoding import chunk_borders, room
from lmkernel.generation.likelihood import log_probs_of, position_logits
from lmkernel.generation.prefixes import Prefix, Prefixes
from lmkernel.generation.requests import Drawn, Event, Failed, PromptScored, Request, ScoredToken
from lmkernel.generation.row_batch import RowBatch
from lmkernel.generation.sampling import sample
from lmkernel.model.rows import StateRows
from lmkernel.model.sight import row_pictures

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Tree
    from lmkernel.model import Model

__all__ = ["Scheduler"]


@final
class Scheduler:
    """Requests, answered side by side; one thread owns it.

    Args:
        model: of a decoder alone.
        params: its parameters, from `Model.pack` or `Model.place`.
        end_ids: tokens of the model's own end.
        most_rows: the most answers at once; further requests wait.
        chunk: so many tokens of a prompt are fed between two steps of the others.
        kept_tokens: so many tokens of earlier prompts are kept, for prompts that begin alike.

    Raises:
        InputError: the model has an encoder, or no decoder.
    """

    def __init__(
        self,
        model: Model,
        params: Tree,
        *,
        end_ids: Collection[int] = (),
        most_rows: int = 16,
        chunk: int = 512,
        kept_tokens: int = 8192,
    ) -> None:
        self._model = model
        self._params = params
        self._end_ids = frozenset(end_ids)
        self._most_rows = most_rows
        self._chunk = chunk
        rows = StateRows(model, params)
        self._prefixes = Prefixes(model, params, rows, kept_tokens)
        self._batch: RowBatch[_Answer] = RowBatch(model, params, rows)
        self._waiting: deque[Request] = deque()
        self._fed: _Feeding | None = None

    @property
    def waiting(self) -> int:
        """How many requests have not begun."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many answers are being written."""
        return len(self._batch)

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self._waiting or self._fed or len(self._batch))

    def check(self, request: Request) -> None:
        """Refuse a request that can never be answered.

        Raises:
            InputError: it is longer than the context, or asks for more answers than there are rows.
        """
        if request.choices > self._most_rows:
            raise InputError(
                f"choices: expected at most {self._most_rows}, the rows of the batch, "
                f"got {shown(request.choices)}"
            )
        room(self._model, len(request.prompt), request.options.max_new_tokens)

    def add(self, request: Request) -> None:
        """Have a request answered after those that came before it; raises as `check` does."""
        self.check(request)
        self._waiting.append(request)

    def cancel(self, request: Request, choice: int | None = None) -> None:
        """End a request, or one answer of it; the others go on. Nothing more is said of it."""
        if choice is None and request in self._waiting:
            self._waiting.remove(request)
        if self._fed is not None and self._fed.request is request:
            self._fed = None
        self._batch.leave(lambda own: own.request is request and choice in {None, own.choice})

    def step(self) -> list[Event]:
        """Feed a chunk of one prompt, then one token to every answer; what came of it."""
        events: list[Event] = []
        for part in (self._feed, self._decode):
            events.extend(part())
        return events

    def _feed(self) -> Iterator[Event]:
        if self._fed is None and self._waiting:
            if len(self._batch) + self._waiting[0].choices > self._most_rows:
                return
            self._fed = _Feeding(self._waiting.popleft())
        fed = self._fed
        if fed is None:
            return
        try:
            if fed.request.score_prompt and not fed.scored:
                fed.scored = True
                yield PromptScored(fed.request, tuple(self._scores(fed.request)))
            if fed.request.choices and not self._feed_chunk(fed):
                return
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this request's alone
            self._fed = None
            yield Failed(fed.request, error)
            return
        self._fed = None
        if fed.prefix is not None:
            yield from self._begin(fed.request, fed.prefix)

    def _feed_chunk(self, fed: _Feeding) -> bool:
        """Whether the prompt is fed whole."""
        prompt, pixels = fed.request.prompt, fed.request.pixels
        if fed.prefix is None:
            fed.prefix = self._prefixes.longest(prompt) if pixels is None else self._shown(fed)
            rest = len(prompt) - len(fed.prefix)
            # where angles change with the length of a row, each chunk would feed all before it anew
            size = self._chunk if fed.prefix.state.fed is None else rest
            borders = [len(fed.prefix) + at for at in chunk_borders(rest, size)]
            fed.chunks = deque(pairwise(borders) if rest else ())
        if fed.chunks:
            begin, end = fed.chunks.popleft()
            fed.prefix.feed(self._model, self._params, prompt[begin:end])
        # the same tokens stand for other pictures elsewhere
        if not fed.chunks and pixels is None:
            self._prefixes.keep(fed.prefix)
        return not fed.chunks

    def _shown(self, fed: _Feeding) -> Prefix:
        """An empty prefix that is shown a request's pictures."""
        memory = row_pictures(self._model, self._params, [fed.request.pixels])
        length = len(fed.request.prompt)
        return Prefix(self._model.begin(self._params, 1, length, memory=memory))

    def _begin(self, request: Request, prefix: Prefix) -> Iterator[Event]:
        """The first token of each answer, and a place in the batch for those that go on."""
        limit = room(self._model, len(request.prompt), request.options.max_new_tokens)
        ends = request.options.end_ids(self._end_ids)
        answers = [_Answer(request, choice, limit, ends) for choice in range(request.choices)]
        for answer in answers:
            event = self._choose(answer, prefix.logits)
            yield event
            if isinstance(event, Failed):
                self.cancel(request)
                return
            if not event.reason:
                self._batch.join(answer, prefix.state, limit)

    def _decode(self) -> Iterator[Event]:
        failed: list[Request] = []
        try:
            stepped = self._batch.step()
        except Exception as error:  # noqa: BLE001 - whatever it is, it took the whole batch
            requests = {answer.request: None for answer in self._batch.rows}
            self._batch.clear()
            yield from (Failed(request, error) for request in requests)
            return
        for answer, logits in stepped:
            if answer.request in failed:
                continue
            event = self._choose(answer, logits)
            if isinstance(event, Failed):
                failed.append(answer.request)
                self.cancel(answer.request)
            elif event.reason:
                self.cancel(answer.request, answer.choice)
            yield event
        self._batch.tidy(expecting=bool(self._waiting or self._fed))

    def _choose(self, answer: _Answer, logits: NDArray[Any]) -> Drawn | Failed:
        request, history = answer.request, answer.history
        step = len(answer.tokens)
        try:
            offered = logits
            if request.adjust:
                offered = request.adjust[answer.choice](logits, answer.tokens)
            offered = answer.constraints.apply(offered, history, step=step, limit=answer.limit)
            token = sample(offered, request.options, history=history, row=answer.choice, step=step)
            log_prob, likeliest = log_probs_of(logits, token, request.alternatives)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this request's alone
            return Failed(request, error)
        answer.tokens.append(token)
        history.append(token)
        scored = ScoredToken(token, log_prob, tuple(likeliest))
        if token in answer.ends:
            return Drawn(request, answer.choice, scored, "stop")
        ended = len(answer.tokens) == answer.limit
        return Drawn(request, answer.choice, scored, "length" if ended else "")

    def _scores(self, request: Request) -> Iterator[ScoredToken]:
        ids = request.prompt
        if len(ids) == 1:
            return
        rows = position_logits(self._model, self._params, ids[:-1], 0)
        for logits, token in zip(rows, ids[1:], strict=True):
            if not np.isfinite(logits).all():
                raise InputError("expected finite logits of the prompt, got NaN or infinity")
            log_prob, likeliest = log_probs_of(
                logits.astype(np.float64), token, request.alternatives
            )
            yield ScoredToken(token, log_prob, tuple(likeliest))


@final
class _Feeding:
    """A request whose prompt is being fed."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.scored = False
        self.prefix: Prefix | None = None
        self.chunks: deque[tuple[int, int]] = deque()


@final
class _Answer:
    """One answer of a request, as far as it has come; ``history`` is the prompt and its tokens."""

    def __init__(self, request: Request, choice: int, limit: int, ends: frozenset[int]) -> None:
        self.request = request
        self.choice = choice
        self.limit = limit
        self.ends = ends
        self.constraints = Constraints(request.options, ends)
        self.tokens: list[int] = []
        self.history = [*request.prompt]

    @property
    def newest(self) -> tuple[int, int]:
        """The newest token and its position."""
        return self.tokens[-1], len(self.history) - 1
