"""Answers in OpenAI's words, whole or as the chunks of a stream."""

from __future__ import annotations

import json
import secrets
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, final

from lmkernel_serve.offsets import TextOffsets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel_serve.answers import Piece, Usage
    from lmkernel_serve.errors import ApiError
    from lmkernel_serve.plans import Plan
    from lmkernel_serve.served import Served

__all__ = ["LEAST", "Bodies", "ChoiceBodies", "CompletionBodies"]

LEAST = -9999.0
"""What minus infinity is written as, which JSON lacks."""


class Bodies(ABC):
    """What one request is answered with.

    Args:
        served: who answers.
        plan: what was asked.
    """

    prefix: str
    last = "data: [DONE]\n\n"
    """What a stream ends with."""

    def __init__(self, served: Served, plan: Plan) -> None:
        self._served = served
        self._plan = plan
        self._id = f"{self.prefix}{secrets.token_hex(12)}"
        self._created = int(time.time())

    @abstractmethod
    def whole(self, pieces: Sequence[Piece], usage: Usage) -> dict[str, Any]:
        """The answer that is no stream."""

    @abstractmethod
    def opening(self) -> list[dict[str, Any]]:
        """The chunks before the first piece."""

    @abstractmethod
    def chunks(self, piece: Piece) -> list[dict[str, Any]]:
        """The chunks of one piece."""

    @abstractmethod
    def closing(self, usage: Usage) -> list[dict[str, Any]]:
        """The chunks after the last piece."""

    def failure(self, error: ApiError) -> dict[str, Any]:
        """The chunk of an error where the status is sent already."""
        return error.json()

    def frame(self, chunk: dict[str, Any]) -> str:
        """A chunk as it is sent."""
        return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"


class ChoiceBodies(Bodies):
    """Answers that are choices: of chats and of completions."""

    whole_object: str
    chunk_object: str

    def whole(self, pieces: Sequence[Piece], usage: Usage) -> dict[str, Any]:
        """The answer that is no stream."""
        by_index: dict[int, list[Piece]] = {}
        for piece in pieces:
            by_index.setdefault(piece.index, []).append(piece)
        choices = [self._choice(index, own) for index, own in sorted(by_index.items())]
        return {**self._head(self.whole_object), "choices": choices, "usage": self._usage(usage)}

    def opening(self) -> list[dict[str, Any]]:
        """The chunks before the first piece."""
        return []

    def chunks(self, piece: Piece) -> list[dict[str, Any]]:
        """The chunks of one piece."""
        return [self._chunk([choice]) for choice in self._parts(piece)]

    def closing(self, usage: Usage) -> list[dict[str, Any]]:
        """The chunks after the last piece."""
        if not self._plan.include_usage:
            return []
        return [{**self._head(self.chunk_object), "choices": [], "usage": self._usage(usage)}]

    def _usage(self, usage: Usage) -> dict[str, Any]:
        """How many tokens there were, once all pieces are read."""
        return usage.json()

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        usage = {"usage": None} if self._plan.include_usage else {}
        return {**self._head(self.chunk_object), "choices": choices, **usage}

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._served.name,
            "system_fingerprint": self._served.fingerprint,
        }

    @abstractmethod
    def _choice(self, index: int, pieces: Sequence[Piece]) -> dict[str, Any]:
        """One whole answer."""

    @abstractmethod
    def _parts(self, piece: Piece) -> list[dict[str, Any]]:
        """A piece, as choices of chunks."""


@final
class CompletionBodies(ChoiceBodies):
    """Of ``/v1/completions``."""

    prefix = "cmpl-"
    whole_object = "text_completion"
    chunk_object = "text_completion"

    def __init__(self, served: Served, plan: Plan) -> None:
        super().__init__(served, plan)
        choices = [max(request.choices, 1) for request in plan.requests]
        self._firsts = [
            request.prompt[0]
            for request, most in zip(plan.requests, choices, strict=True)
            for _ in range(most)
        ]
        special = served.model.tokenizer.special_ids if plan.prompts else frozenset()
        self._offsets = [
            TextOffsets(text, served.token_bytes, special)
            for text, most in zip(plan.prompts, choices, strict=bool(plan.prompts))
            for _ in range(most)
        ]

    def whole(self, pieces: Sequence[Piece], usage: Usage) -> dict[str, Any]:
        """The answer that is no stream; of several, those of the likeliest tokens."""
        body = super().whole(pieces, usage)
        if not self._plan.kept:
            return body
        found, choices = _likelihoods(pieces), body["choices"]
        best: list[dict[str, Any]] = []
        for request in self._plan.requests:
            of_prompt, choices = choices[: request.choices], choices[request.choices :]
            ranked = sorted(of_prompt, key=lambda choice: -found[choice["index"]])
            best += ranked[: self._plan.kept]
        return {**body, "choices": [{**one, "index": at} for at, one in enumerate(best)]}

    def _choice(self, index: int, pieces: Sequence[Piece]) -> dict[str, Any]:
        parts = [self._parts(piece)[0] for piece in pieces]
        logprobs = None
        if self._plan.logprobs is not None:
            names = ("tokens", "token_logprobs", "top_logprobs", "text_offset")
            logprobs = {n: [x for part in parts for x in part["logprobs"][n]] for n in names}
        return {
            "index": index,
            "text": "".join(piece.text for piece in pieces),
            "logprobs": logprobs,
            "finish_reason": pieces[-1].reason,
        }

    def _parts(self, piece: Piece) -> list[dict[str, Any]]:
        logprobs = None if self._plan.logprobs is None else self._logprobs(piece)
        part = {
            "index": piece.index,
            "text": piece.text,
            "logprobs": logprobs,
            "finish_reason": piece.reason or None,
        }
        return [part]

    def _logprobs(self, piece: Piece) -> dict[str, Any]:
        found: dict[str, Any] = {
            "tokens": [],
            "token_logprobs": [],
            "top_logprobs": [],
            "text_offset": [],
        }
        if piece.echo:  # a prompt's first token follows nothing
            self._add(found, piece, self._firsts[piece.index], None, None)
        for token in piece.tokens:
            best = {self._spelt(i): max(p, LEAST) for i, p in reversed(token.alternatives)}
            best[self._spelt(token.id)] = max(token.log_prob, LEAST)
            self._add(found, piece, token.id, max(token.log_prob, LEAST), best)
        return found

    def _add(self, found: dict[str, Any], piece: Piece, token: int, own: Any, best: Any) -> None:
        offsets = self._offsets[piece.index]
        offset = offsets.of_prompt(token) if piece.echo else offsets.of_answer(token)
        for name, value in zip(found, (self._spelt(token), own, best, offset), strict=True):
            found[name].append(value)

    def _spelt(self, token: int) -> str:
        """A token's text; of one that ends inside a character, its bytes as OpenAI writes them."""
        own = self._served.token_bytes(token)
        try:
            return own.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in own)


def _likelihoods(pieces: Sequence[Piece]) -> dict[int, float]:
    """The mean log-probability of each answer's tokens; 0 of an answer that ended at once."""
    drawn: dict[int, list[float]] = {}
    for piece in pieces:
        own = drawn.setdefault(piece.index, [])
        own += [] if piece.echo else [token.log_prob for token in piece.tokens]
    return {index: sum(own) / max(len(own), 1) for index, own in drawn.items()}
