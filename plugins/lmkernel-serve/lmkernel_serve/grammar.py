"""Answers that follow a grammar: what would break it is masked before each token is chosen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, final

import llguidance
import numpy as np

from lmkernel_serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel_serve.documents import ResponseFormat
    from lmkernel_serve.served import Served

__all__ = ["GrammarMask", "grammar_of"]

_COMPACT: Any = {"whitespace_flexible": False}
"""Without it a small model may go on with spaces for ever."""


def grammar_of(served: Served, wanted: ResponseFormat | None) -> str | None:
    """The grammar of a response format; None where any text will do.

    Raises:
        ApiError: a schema is missing, or is none.
    """
    if wanted is None or wanted.type == "text":
        return None
    schema: dict[str, Any] = {"type": "object"}
    if wanted.type == "json_schema":
        if wanted.json_schema is None:
            raise _refusal("expected a json_schema")
        schema = wanted.json_schema.json_schema
    try:
        grammar: str = llguidance.LLMatcher.grammar_from_json_schema(
            json.dumps(schema), defaults=_COMPACT
        )
        fault = llguidance.LLMatcher.validate_grammar(grammar, served.grammar_tokenizer)
    except Exception as error:
        raise _refusal(str(error)) from error
    if fault:
        raise _refusal(fault)
    return grammar


def _refusal(why: str) -> ApiError:
    return ApiError(f"response_format: {why}"[:1000], param="response_format")


@final
class GrammarMask:
    """Masks one answer's tokens.

    Args:
        served: whose tokenizer counts.
        grammar: from `grammar_of`.
    """

    def __init__(self, served: Served, grammar: str) -> None:
        self._matcher = llguidance.LLMatcher(served.grammar_tokenizer, grammar)
        self._taken = 0

    def __call__(self, logits: NDArray[Any], answer: Sequence[int], /) -> NDArray[Any]:
        """Logits with -inf for every token that the grammar does not allow next."""
        for token in answer[self._taken :]:
            self._matcher.consume_token(token)
        self._taken = len(answer)
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            raise ApiError(f"response_format: {self._matcher.get_error()}"[:1000])
        allowed = np.unpackbits(bits, bitorder="little")[: len(logits)].astype(bool)
        masked = np.full(len(logits), -np.inf)
        masked[: len(allowed)][allowed] = logits[: len(allowed)][allowed]
        return masked
