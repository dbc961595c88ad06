"""Answers of ``/v1/chat/completions``, whole or as the chunks of a stream."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, final

from lmkernel.structured import CallReader, Part, ThoughtReader
from lmkernel_serve.bodies import LEAST, ChoiceBodies

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.generation import ScoredToken
    from lmkernel_serve.answers import Piece, Usage
    from lmkernel_serve.plans import Plan
    from lmkernel_serve.served import Served

__all__ = ["AnswerReader", "ChatBodies", "logprob_entries", "new_call_id"]


@final
class AnswerReader:
    """One answer's pieces as its thought, its text and its calls.

    Args:
        plan: what was asked.
    """

    def __init__(self, plan: Plan) -> None:
        self._calls = None if plan.calls is None else CallReader(plan.calls)
        self._thoughts = None if plan.thinks_after is None else ThoughtReader(plan.thinks_after)
        if self._thoughts is not None and plan.begun:
            self._thoughts.push(plan.begun)  # which the client has already
        self.thought_tokens = 0
        """How many tokens were drawn before the answer itself began."""

    def read(self, piece: Piece) -> tuple[list[Part], str]:
        """The parts of a piece, and why the answer ends with it, or nothing."""
        ends = bool(piece.reason)
        parts = [
            one for part in self._told_apart(piece, ends=ends) for one in self._with_calls(part)
        ]
        if self._calls is None or not ends:
            return parts, piece.reason
        called = piece.reason == "stop" and self._calls.calls
        return parts + self._calls.finish(), "tool_calls" if called else piece.reason

    def _told_apart(self, piece: Piece, *, ends: bool) -> list[Part]:
        """Thoughts and text; the token that ends a thought is one of it."""
        if self._thoughts is None:
            return [Part(piece.text)] if piece.text else []
        thought = self._thoughts.thinking
        parts = self._thoughts.push(piece.text)
        parts += self._thoughts.finish() if ends else []
        if thought and not any(part.text and not part.thought for part in parts):
            self.thought_tokens += len(piece.tokens)
        return parts

    def _with_calls(self, part: Part) -> list[Part]:
        return [part] if part.thought or self._calls is None else self._calls.push(part.text)


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
        text, thought, reason, calls = "", "", "", []
        for piece in pieces:
            parts, reason = self._readers[index].read(piece)
            for part in parts:
                if part.thought:
                    thought += part.text
                elif part.call < 0:
                    text += part.text
                elif part.name:
                    calls.append(_call(part))
                else:
                    calls[part.call]["function"]["arguments"] += part.text
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if calls:
            message |= {"content": text or None, "tool_calls": calls}
        if self._plan.thinks_after is not None:
            message["reasoning_content"] = thought or None
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

    def _usage(self, usage: Usage) -> dict[str, Any]:
        if self._plan.thinks_after is None:
            return usage.json()
        thought = sum(reader.thought_tokens for reader in self._readers)
        return {**usage.json(), "completion_tokens_details": {"reasoning_tokens": thought}}

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
    if part.thought:
        return {"reasoning_content": part.text}
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
