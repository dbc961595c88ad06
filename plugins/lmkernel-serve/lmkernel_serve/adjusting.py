"""Changes to the logits that OpenAI's interface knows: biases and penalties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lmkernel.generation import Adjust
    from lmkernel_serve.documents import SamplingDocument
    from lmkernel_serve.served import Served

__all__ = ["adjustments", "chain", "check_ids"]


def adjustments(served: Served, document: SamplingDocument) -> list[Adjust]:
    """Biases and penalties, as OpenAI's reference defines them."""
    found: list[Adjust] = []
    if document.logit_bias:
        ids = [_bias_id(served, key) for key in document.logit_bias]
        values = np.array(list(document.logit_bias.values()))
        found.append(lambda logits, _: _plus(logits, ids, values))
    presence, frequency = document.presence_penalty or 0.0, document.frequency_penalty or 0.0
    if presence or frequency:

        def penalise(logits: NDArray[Any], answer: Sequence[int]) -> NDArray[Any]:
            seen, counts = np.unique(np.array(answer, np.int64), return_counts=True)
            return _plus(logits, seen, -presence - frequency * counts)

        found.append(penalise)
    return found


def _bias_id(served: Served, key: str) -> int:
    if not (key.isascii() and key.isdigit() and len(key) < 12):  # noqa: PLR2004 - longer than any id
        raise ApiError(f"logit_bias: expected token ids, got {key!r:.40}", param="logit_bias")
    check_ids(served, [int(key)], "logit_bias")
    return int(key)


def _plus(logits: NDArray[Any], ids: Any, values: NDArray[Any]) -> NDArray[Any]:
    changed = logits.astype(np.float64)
    changed[ids] += values
    return changed


def chain(adjust: Sequence[Adjust]) -> Callable[..., NDArray[Any]]:
    """One change after another."""

    def apply(logits: NDArray[Any], answer: Sequence[int]) -> NDArray[Any]:
        for one in adjust:
            logits = one(logits, answer)
        return logits

    return apply


def check_ids(served: Served, ids: Sequence[int], param: str) -> None:
    """Raise `ApiError` for ids that the model's vocabulary lacks."""
    vocab = served.model.config.embedding.vocab
    if max(ids) >= vocab or min(ids) < 0:
        raise ApiError(f"{param}: expected token ids in 0 … {vocab - 1}", param=param)
