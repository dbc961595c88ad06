"""What a model puts out, and the last hidden state that it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import InputError, NotFiniteError
from lmkernel.inspection.inputs import single_stack, token_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.interfaces import Embedded
    from lmkernel.language_model import LanguageModel
    from lmkernel.model import Model

__all__ = ["check_finite", "last_hidden_states", "logits"]


def logits(model: LanguageModel, inputs: Any) -> NDArray[Any]:
    """The logits of every position, before any softmax.

    Args:
        model: on any backend.
        inputs: a text, ids, or rows of ids of equal length; see `token_rows`.

    Returns:
        ``(time, vocab)``, or ``(size,)`` where the head pools; with an axis of the batch before
        them if rows were given. float32, or float64 where the model computes in it.

    Raises:
        InputError: what was given cannot be used, or the model has an encoder and a decoder, or no
            head.
        NotFiniteError: a logit is NaN or infinite.
    """
    single_stack(model.model.config)
    if model.model.config.head is None:
        raise InputError(
            f"{model.origin.where}: expected a model with a head, which gives logits, "
            "got one without; `hidden_states` and `embed` give its vectors"
        )
    rows, backend = token_rows(model, inputs), model.model.backend
    with backend.scope(), backend.inference():
        inputs = backend.ops.asarray(rows.ids, "int32")
        output = backend.ops.to_numpy(model.model.forward(model.params, inputs))
    check_finite(model, output, "logits")
    return rows.drop_batch(output)


def check_finite(model: LanguageModel, values: NDArray[Any], what: str) -> None:
    """Refuse results that are no numbers, as those of a model with damaged weights.

    What is inside a model, its hidden states and attention weights, is not checked, as there one
    looks for the place where they cease to be numbers.

    Raises:
        NotFiniteError: one of them is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise NotFiniteError(
            f"{model.origin.where}: expected finite {what}, got NaN or infinity; "
            "`hidden_states` shows after which layer they begin"
        )


def last_hidden_states(model: Model, params: Tree, embedded: Embedded) -> Array:
    """The last hidden state ``(batch, time, width)``, which the head is given.

    Inside the backend's scope; of a model with an encoder or a decoder.
    """
    if model.encoder is not None:
        return model.encoder(params["encoder"], embedded).hidden
    if model.decoder is not None:
        return model.decoder(params["decoder"], embedded)
    raise InputError("expected a model with an encoder or a decoder, got one with neither")
