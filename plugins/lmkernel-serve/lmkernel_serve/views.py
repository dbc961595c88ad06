"""What the page asks of a model beside its answers: attention, and what each layer would say."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from lmkernel.config import TransformerConfig
from lmkernel.generation.likelihood import log_probs_of
from lmkernel.inspection.outputs import check_finite
from lmkernel_serve.documents import ChatDocument, Ids, TokenizeDocument
from lmkernel_serve.errors import ApiError
from lmkernel_serve.lens import lens_logits
from lmkernel_serve.tokenizing import document_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel_serve.served import Served

__all__ = [
    "AttentionDocument",
    "ContinueDocument",
    "LensDocument",
    "attention_body",
    "lens_body",
    "model_body",
]

_MOST = 1 << 30
"""The most bytes that one view may take on the host."""


class ContinueDocument(ChatDocument):
    """``POST /lmkernel/continue``: a chat whose answer has begun with these ids."""

    answer: Annotated[Ids, Field(min_length=1)]


class _ViewDocument(TokenizeDocument):
    """What was read: a prompt or messages, and the beginning of an answer as ids."""

    answer: Ids = Field(default_factory=list)


class AttentionDocument(_ViewDocument):
    """``POST /lmkernel/attention``."""

    layers: Annotated[list[int], Field(min_length=1)] | None = None


class LensDocument(_ViewDocument):
    """``POST /lmkernel/lens``."""

    token: Annotated[int, Field(ge=0, lt=1 << 31)] | None = None
    top: Annotated[int, Field(ge=0, le=20)] = 5


async def attention_body(served: Served, document: AttentionDocument) -> dict[str, Any]:
    """With what weight the last token that was read attends to each, by layer and head.

    Raises:
        ApiError: nothing was read, or more than fits into memory.
        LmkernelError: ids or layers that the model has not, or attention without such weights.
    """
    model, ids = served.model, await _ids(served, document)
    layers = _layers(served) if document.layers is None else len(document.layers)
    _check_memory(layers * _weights(served, ids), "fewer layers, or a shorter text")
    weights = await served.worker.call(
        lambda: model.attention_weights(ids, document.layers)[:, :, -1]
    )
    check_finite(model, weights, "attention weights")
    asked = range(layers) if document.layers is None else document.layers
    return {
        "object": "lmkernel.attention",
        "model": served.name,
        "tokens": [served.spelt(token) for token in ids],
        "layers": _layers(served),
        "heads": weights.shape[1],
        "weights": [
            {"layer": layer % _layers(served), "heads": own.astype(np.float64).tolist()}
            for layer, own in zip(asked, weights, strict=True)
        ],
    }


async def lens_body(served: Served, document: LensDocument) -> dict[str, Any]:
    """What each layer would answer after the last token that was read.

    Raises:
        ApiError: nothing was read, a token that the model has not, or more than fits into memory.
        LmkernelError: ids that the model cannot read, or a decoder without layers.
    """
    model, vocab = served.model, served.model.config.embedding.vocab
    ids, token = await _ids(served, document), document.token
    if token is not None and token >= vocab:
        raise ApiError(f"token: expected an id in 0 … {vocab - 1}, got {token}", param="token")
    states = (_layers(served) + 1) * (len(ids) * model.config.embedding.width + vocab)
    _check_memory(max(states, _weights(served, ids)), "a shorter text")
    logits = await served.worker.call(lambda: lens_logits(model, ids))
    check_finite(model, logits, "logits")
    return {
        "object": "lmkernel.lens",
        "model": served.name,
        "read": len(ids),
        "layers": [
            {"layer": layer, **_reading(served, row.astype(np.float64), token, document.top)}
            for layer, row in enumerate(logits)
        ],
    }


def model_body(served: Served) -> dict[str, Any]:
    """What the page says of a model."""
    own = served.model
    return {
        "id": served.name,
        "generates": served.generates,
        "sees": own.config.sight is not None,
        "hears": served.hears,
        "context": served.context or None,
        "end_ids": list(own.end_ids) if served.generates else [],
        "backend": own.backend.name,
        "device": own.backend.device,
        "dtype": own.model.policy.compute,
    }


async def _ids(served: Served, document: _ViewDocument) -> list[int]:
    ids = [*await asyncio.to_thread(document_ids, served, document), *document.answer]
    if not ids:
        raise ApiError("prompt: expected at least one token", param="prompt")
    return ids


def _layers(served: Served) -> int:
    """How many layers the decoder has; 0 of one without any."""
    return getattr(served.model.config.decoder, "layers", 0)


def _weights(served: Served, ids: Sequence[int]) -> int:
    """How many weights one layer's attention has, which some backends hold at once."""
    stack = served.model.config.decoder
    heads = stack.attention.heads if isinstance(stack, TransformerConfig) else 0
    return heads * len(ids) ** 2


def _check_memory(numbers: int, instead: str) -> None:
    if numbers * 4 > _MOST:
        raise ApiError(f"this view would take {numbers * 4 >> 20} MiB; ask for {instead}")


def _reading(served: Served, logits: Any, token: int | None, top: int) -> dict[str, Any]:
    """The likeliest tokens of one layer, and what it thinks of the one that is asked about."""
    log_prob, best = log_probs_of(logits, token or 0, top)
    chosen = None
    if token is not None:
        # ties go to the lowest id, as in the list
        before = (logits > logits[token]) | (
            (logits == logits[token]) & (np.arange(len(logits)) < token)
        )
        chosen = {**served.spelt(token), "logprob": log_prob, "rank": int(before.sum()) + 1}
    return {"top": _scored(served, best), "chosen": chosen}


def _scored(served: Served, best: Sequence[tuple[int, float]]) -> list[dict[str, Any]]:
    return [{**served.spelt(token), "logprob": log_prob} for token, log_prob in best]
