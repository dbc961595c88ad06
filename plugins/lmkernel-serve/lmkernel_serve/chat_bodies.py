"""Answers of ``/v1/chat/completions``, whole or as the chunks of a stream."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, final

from lmkernel.structured import CallReader, Part
from lmkernel_serve.bodies import LEAST, ChoiceBodies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.generation import ScoredToken
    from lmkernel_serve.answers import Piece
    from lmkernel_serve.plans import Plan
    from lmkernel_serve.served import Served

__all__ = ["AnswerReader", "ChatBodies", "logprob_entries", "new_call_id"]


@final
class AnswerReader:
    """One answer's pieces as its text and its calls.

    Args:
        plan: what was asked.
    """

    def __init__(self, plan: Plan) -> None:
        self._reader = None if plan.calls is None else CallReader(plan.calls)

    def read(self, piece: Piece) -> tuple[list[Part], str]:
        """The parts of a piece, and why the answer ends with it, or nothing."""
        if self._reader is None:
            return [Part(piece.text)] if piece.text else [], piece.reason
        parts = self._reader.push(piece.text)
        if not piece.reason:
            return parts, ""
        called = piece.reason == "stop" and self._reader.calls
        return parts + self._reader.finish(), "tool_calls" if called else piece.reason


@final
class ChatBodies(ChoiceBodies):
    """Of ``/v1/chat/completions``."""

    prefix = "chatcmpl-"
    whole_object = "chat.completion"
    chunk_object = "chat.completion.chunk"

    def __init__(self, served: Served, plan: Plan) -> None:
        super().__init__(served, plan)
        count = sum(request.choices for request in plan.requests)
        self._readers = [AnswerReader(plan) for _ in range(count)]

    def opening(self) -> list[dict[str, Any]]:
        """Each answer's role."""
        content = "" if self._plan.calls is None else None
        delta = {"role": "assistant", "content": content}
        return [self._chunk([self._delta(i, delta)]) for i in range(len(self._readers))]

    def _choice(self, index: int, pieces: Sequence[Piece]) -> dict[str, Any]:
        text, reason, calls = "", "", []
        for piece in pieces:
            parts, reason = self._readers[index].read(piece)
            for part in parts:
                if part.call < 0:
                    text += part.text
                elif part.name:
                    calls.append(_call(part))
                else:
                    calls[part.call]["function"]["arguments"] += part.text
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if calls:
            message |= {"content": text or None, "tool_calls": calls}
        return {
            "index": index,
            "message": message,
            "logprobs": self._logprobs([token for piece in pieces for token in piece.tokens]),
            "finish_reason": reason,
        }

    def _parts(self, piece: Piece) -> list[dict[str, Any]]:
        parts, reason = self._readers[piece.index].read(piece)
        deltas = [_delta_of(part) for part in parts]
        scores = self._logprobs(piece.tokens)
        if scores is not None and piece.tokens and not deltas:
            deltas = [{}]
        found = [self._delta(piece.index, delta) for delta in deltas]
        if found:
            found[0]["logprobs"] = scores
        if reason:
            found.append(self._delta(piece.index, {}, reason))
        return found

    def _delta(self, index: int, delta: Any, reason: str = "") -> dict[str, Any]:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason or None}

    def _logprobs(self, tokens: Sequence[ScoredToken]) -> dict[str, Any] | None:
        if self._plan.logprobs is None:
            return None
        return {"content": logprob_entries(self._served, tokens), "refusal": None}


def logprob_entries(served: Served, tokens: Sequence[ScoredToken]) -> list[dict[str, Any]]:
    """Tokens with their log-probabilities and alternatives."""

    def entry(token: int, log_prob: float) -> dict[str, Any]:
        return {**served.spelt(token), "logprob": max(log_prob, LEAST)}

    return [
        {**entry(one.id, one.log_prob), "top_logprobs": [entry(*best) for best in one.alternatives]}
        for one in tokens
    ]


def _delta_of(part: Part) -> dict[str, Any]:
    if part.call < 0:
        return {"content": part.text}
    if part.name:
        return {"tool_calls": [{"index": part.call, **_call(part)}]}
    return {"tool_calls": [{"index": part.call, "function": {"arguments": part.text}}]}


def _call(part: Part) -> dict[str, Any]:
    """A call that begins."""
    function = {"name": part.name, "arguments": ""}
    return {"id": new_call_id(), "type": "function", "function": function}


def new_call_id() -> str:
    """Nine letters and digits, which Mistral's template insists on."""
    return secrets.token_hex(5)[:9]
