"""What transformers' models say, also where tokens are fed one by one through their own cache."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.verification.subject import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.verification.sequences import Question
    from lmkernel.verification.subject import Kind

__all__ = ["answer_of", "decode", "to_host"]


def to_host(x: Any) -> NDArray[Any]:
    """A tensor as an array, in float32 where it has 16 bits."""
    made: NDArray[Any] = x.detach().float().cpu().numpy()
    return made


def answer_of(outputs: Sequence[Any], inside: Mapping[str, Any] = MappingProxyType({})) -> Answer:
    """The logits of one output after the other, or the last hidden vectors where there is no head.

    Args:
        outputs: of the model, each of later tokens.
        inside: activations by name.
    """
    kind: Kind = "logits" if "logits" in outputs[0] else "hidden"
    each = [x["logits" if kind == "logits" else "last_hidden_state"] for x in outputs]
    values = np.concatenate([to_host(x) for x in each], 1)
    return Answer(values, kind, {name: to_host(x) for name, x in inside.items()})


def decode(model: Any, cache: str, whole: Mapping[str, Any], question: Question) -> list[Any]:
    """The outputs for the first tokens at once, and for each other by itself.

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
        source = {n: x for n, x in whole.items() if not n.startswith("decoder_")}
        fixed["encoder_outputs"] = model.get_encoder()(**source)
    return [model(**step(whole, *edge), **fixed) for edge in edges]


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
    """The next tokens of a target; the mask of a source of tokens, which a sound has not."""
    mask = {name: x for name, x in whole.items() if name == "attention_mask"}
    return {**mask, "decoder_input_ids": whole["decoder_input_ids"][:, begin:end]}
