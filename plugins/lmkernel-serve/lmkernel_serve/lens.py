"""The logit lens: what each layer would answer, were it the last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.components.primitives import normalize
from lmkernel.config import TransformerConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.language_model import LanguageModel

__all__ = ["lens_logits"]


def lens_logits(model: LanguageModel, ids: Sequence[int]) -> NDArray[Any]:
    """The last position's logits, read off after every layer by the model's own norm and head.

    Follows nostalgebraist, *interpreting GPT: the logit lens* (2020).

    Args:
        model: of a decoder, on any backend.
        ids: the tokens that were read.

    Returns:
        ``(layers + 1, vocab)``, numbered as `LanguageModel.hidden_states` numbers them: 0 is the
        embedding's, the last are the model's logits.

    Raises:
        InputError: ids that the model cannot read, or a decoder without layers of one width.
    """
    states = model.hidden_states(list(ids))[:, -1]
    own, backend = model.model, model.model.backend
    with backend.scope(), backend.inference():
        hidden = backend.ops.asarray(states[None], own.policy.compute)
        stack = own.config.decoder
        if isinstance(stack, TransformerConfig) and stack.final_norm:
            norm = model.params["decoder"]["norm"]
            # the last of the hidden states has been through the norm already
            early = normalize(backend.ops, hidden[:, :-1], norm, stack.norm)
            hidden = backend.ops.concat([early, hidden[:, -1:]], axis=1)
        positions = backend.ops.asarray(np.arange(len(states))[None], "int32")
        logits: NDArray[Any] = backend.ops.to_numpy(own.output(model.params, hidden, positions))
    return logits.squeeze(0)
