"""Answers of ``/v1/responses``, whole or as a sequence of events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, final

from lmkernel_serve.bodies import Bodies
from lmkernel_serve.chat_bodies import AnswerReader, logprob_entries
from lmkernel_serve.response_documents import ResponseToolChoice
from lmkernel_serve.response_items import ResponseItems

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lmkernel_serve.answers import Piece, Usage
    from lmkernel_serve.errors import ApiError
    from lmkernel_serve.plans import Plan
    from lmkernel_serve.response_documents import ResponseDocument
    from lmkernel_serve.response_store import ResponseStore
    from lmkernel_serve.served import Served

__all__ = ["ResponseBodies"]


@final
class ResponseBodies(Bodies):
    """Of one response.

    Args:
        served: who answers.
        plan: what was asked of the model.
        document: what was asked.
        messages: of the chat that is answered, without instructions.
        store: where the response is kept, unless it shall not be.
    """

    prefix = "resp_"
    last = ""

    def __init__(
        self,
        served: Served,
        plan: Plan,
        document: ResponseDocument,
        messages: Sequence[dict[str, Any]],
        store: ResponseStore,
    ) -> None:
        super().__init__(served, plan)
        self._document = document
        self._messages = messages
        self._store = store
        self._reader = AnswerReader(plan)
        self._items = ResponseItems()
        self._status = "in_progress"
        self._sent = 0

    def whole(self, pieces: Sequence[Piece], usage: Usage) -> dict[str, Any]:
        """The response that is no stream."""
        for piece in pieces:
            self.chunks(piece)
        body: dict[str, Any] = self.closing(usage)[-1]["response"]
        return body

    def opening(self) -> list[dict[str, Any]]:
        """The response exists, and is being written."""
        begun = {"response": self._body(None)}
        return self._events([("response.created", begun), ("response.in_progress", begun)])

    def chunks(self, piece: Piece) -> list[dict[str, Any]]:
        """The events of one piece."""
        parts, reason = self._reader.read(piece)
        if reason:
            self._status = "incomplete" if reason == "length" else "completed"
        scores = (
            logprob_entries(self._served, piece.tokens) if self._document.shows_logprobs else []
        )
        events = []
        for part in parts:
            events += self._events(self._items.take(part, scores))
            scores = []  # a piece's tokens are shown once; those of thoughts are not
        return events

    def closing(self, usage: Usage) -> list[dict[str, Any]]:
        """The last item is whole, and so is the response."""
        events = self._events(self._items.finish(self._status))
        body = self._body(usage)
        if self._document.store is not False:
            self._store.keep(body, [*self._messages, self._items.message])
        return events + self._events([(f"response.{self._status}", {"response": body})])

    def failure(self, error: ApiError) -> dict[str, Any]:
        """The event of an error where the status is sent already."""
        self._status = "failed"
        told = {"code": error.code or "server_error", "message": str(error)}
        [event] = self._events([("response.failed", {"response": self._body(None, told)})])
        return event

    def frame(self, chunk: dict[str, Any]) -> str:
        """An event as it is sent."""
        return f"event: {chunk['type']}\ndata: {json.dumps(chunk, ensure_ascii=False)}\n\n"

    def _events(self, found: Iterable[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
        events = []
        for kind, fields in found:
            events.append({"type": kind, "sequence_number": self._sent, **fields})
            self._sent += 1
        return events

    def _body(self, usage: Usage | None, error: dict[str, Any] | None = None) -> dict[str, Any]:
        asked, cut = self._document, self._status == "incomplete"
        options = self._plan.requests[0].options
        form = asked.text.format if asked.text else None
        tools = [tool.model_dump() for tool in asked.tools or ()]
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": self._status,
            "background": False,
            "error": error,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "metadata": asked.metadata or {},
            "model": self._served.name,
            "output": json.loads(json.dumps(self._items.items)),
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "previous_response_id": asked.previous_response_id,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "store": asked.store is not False,
            "system_fingerprint": self._served.fingerprint,
            "temperature": options.temperature,
            "text": {"format": form.model_dump(by_alias=True) if form else {"type": "text"}},
            "tool_choice": _choice(asked.tool_choice),
            "tools": tools,
            "top_logprobs": asked.top_logprobs or 0,
            "top_p": options.top_p,
            "truncation": "disabled",
            "usage": None if usage is None else _usage(usage, self._reader.thought_tokens),
            "user": asked.user,
        }


def _choice(choice: str | ResponseToolChoice | None) -> Any:
    return choice.model_dump() if isinstance(choice, ResponseToolChoice) else choice or "auto"


def _usage(usage: Usage, thought: int) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": usage.prompt + usage.completion,
    }
