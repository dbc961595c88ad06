"""The hidden states between layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import InputError
from lmkernel.inspection.inputs import layer_indices, single_stack, token_rows
from lmkernel.inspection.run import activations, split_layers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Array
    from lmkernel.inspection.run import Activation
    from lmkernel.language_model import LanguageModel

__all__ = ["hidden_states"]


def hidden_states(
    model: LanguageModel, inputs: Any, layers: int | Sequence[int] | None = None
) -> NDArray[Any]:
    """The hidden states, numbered as transformers numbers them (``output_hidden_states=True``).

    Number 0 is what the embedding puts out, number i what layer i puts out, counted from 1. The
    last one is taken after the final norm, where there is one.

    Args:
        model: with an encoder or a decoder, on any backend.
        inputs: a text, ids, or rows of ids of equal length; see `token_rows`.
        layers: the numbers of those wanted, negative ones from the end; by default all.

    Returns:
        ``(layers + 1, time, hidden)``, or ``(layers + 1, batch, time, hidden)`` if rows were
        given. float32, or float64 where the model computes in it.

    Raises:
        InputError: what was given cannot be used, or the model has an encoder and a decoder, no
            layers, or layers of unequal width.
    """
    count = len(split_layers(single_stack(model.model.config))) + 1
    chosen = layer_indices(count, layers)
    rows, backend = token_rows(model, inputs), model.model.backend
    with backend.scope(), backend.inference():
        inputs = backend.ops.asarray(rows.ids, "int32")
        states = _states(activations(model.model, model.params, inputs, parts=False))
        host = [backend.ops.to_numpy(states[index]) for index in chosen]
    widths = {x.shape[-1] for x in host}
    if len(widths) > 1:
        raise InputError(f"expected layers of one width, got {sorted(widths)}; ask for one of them")
    return rows.drop_batch(np.stack(host), axis=1)


def _states(run: Iterable[Activation]) -> list[Array]:
    found: list[Array] = []
    for activation in run:
        if activation.kind == "logits":
            break
        if activation.kind == "norm":
            found.pop()
        found.append(activation.value)
    return found
