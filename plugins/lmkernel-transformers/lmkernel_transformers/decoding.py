"""Tokens fed one by one, through transformers' own cache of keys and values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmkernel.verification.sequences import Question

__all__ = ["decode", "to_host"]


def to_host(x: Any) -> NDArray[Any]:
    """A tensor as an array, in float32 where it has 16 bits."""
    made: NDArray[Any] = x.detach().float().cpu().numpy()
    return made


def decode(model: Any, cache: str, whole: Mapping[str, Any], question: Question) -> NDArray[Any]:
    """The first tokens at once, each other by itself; logits ``(batch, time, vocab)``.

    Args:
        model: the model, or what it was compiled to.
        cache: what its argument of the cache is called.
        whole: the arguments for all tokens at once.
        question: how many are fed at once.
    """
    step, cached = _writes if question.target.size else _continues, _empty_cache(model, question)
    first = question.prefill
    edges = [(0, first), *((t, t + 1) for t in range(first, question.answered_time))]
    fixed: dict[str, Any] = {cache: cached, "use_cache": True}
    if question.target.size:
        source = {n: whole[n] for n in ("input_ids", "attention_mask")}
        fixed["encoder_outputs"] = model.get_encoder()(**source)
    return np.concatenate(
        [to_host(model(**step(whole, begin, end), **fixed).logits) for begin, end in edges], 1
    )


def _empty_cache(model: Any, question: Question) -> Any:
    from transformers import DynamicCache, EncoderDecoderCache

    own = DynamicCache(config=model.config)
    if not question.target.size:
        return own
    return EncoderDecoderCache(own, DynamicCache(config=model.config))


def _continues(whole: Mapping[str, Any], begin: int, end: int) -> dict[str, Any]:
    """The next tokens of a row, and the mask of all up to them."""
    return {
        "input_ids": whole["input_ids"][:, begin:end],
        "attention_mask": whole["attention_mask"][:, :end],
        "position_ids": whole["position_ids"][:, begin:end],
    }


def _writes(whole: Mapping[str, Any], begin: int, end: int) -> dict[str, Any]:
    """The next tokens of a target."""
    return {
        "attention_mask": whole["attention_mask"],
        "decoder_input_ids": whole["decoder_input_ids"][:, begin:end],
    }
