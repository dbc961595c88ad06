"""Who attends to whom: the weights of self-attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.components.attention import project_qkv
from lmkernel.components.primitives import normalize
from lmkernel.components.sinks import with_sinks
from lmkernel.components.transformer import whole_view
from lmkernel.composed.attention import attention
from lmkernel.config import TransformerConfig
from lmkernel.errors import InputError
from lmkernel.inspection.inputs import layer_indices, single_stack, token_rows
from lmkernel.inspection.run import activations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.config import StackConfig
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops
    from lmkernel.inspection.run import Activation
    from lmkernel.language_model import LanguageModel

__all__ = ["attention_weights"]

_KIND = "multi_head"


def attention_weights(
    model: LanguageModel, inputs: Any, layers: int | Sequence[int] | None = None
) -> NDArray[Any]:
    """The weights with which each position attends to each, as transformers gives them eagerly.

    They are computed beside the model, from the queries and keys of each layer, since a fused
    kernel keeps none. A row sums to 1, or to less where heads have sinks; what a position may not
    see has weight 0.

    Args:
        model: with an encoder or a decoder of transformer layers, on any backend.
        inputs: a text, ids, or rows of ids of equal length; see `token_rows`.
        layers: the numbers of those wanted, from 0, negative ones from the end; by default all.

    Returns:
        ``(layers, heads, time, time)``, queries before keys, or ``(layers, batch, heads, time,
        time)`` if rows were given. float32, or float64 where the model computes in it.

    Raises:
        InputError: what was given cannot be used, the model has an encoder and a decoder, or its
            attention is no multi-head attention.
    """
    stack = _transformer(single_stack(model.model.config))
    chosen = layer_indices(stack.layers, layers)
    rows, backend = token_rows(model, inputs), model.model.backend
    found: dict[int, NDArray[Any]] = {}
    with backend.scope(), backend.inference():
        inputs = backend.ops.asarray(rows.ids, "int32")
        run = activations(model.model, model.params, inputs, parts=False)
        for index, activation in enumerate(a for a in run if a.kind == "layer"):
            if index in chosen:
                found[index] = backend.ops.to_numpy(_weights(backend.ops, activation))
            if index == max(chosen):
                break
    return rows.drop_batch(np.stack([found[index] for index in chosen]), axis=1)


def _transformer(stack: StackConfig) -> TransformerConfig:
    if not isinstance(stack, TransformerConfig):
        raise InputError(f"expected transformer layers, got kind {stack.kind!r}")
    if stack.attention.kind != _KIND:
        raise InputError(
            f"expected attention of kind {_KIND!r}, whose weights follow from queries and keys, "
            f"got {stack.attention.kind!r}"
        )
    return stack


def _weights(ops: Ops, activation: Activation) -> Array:
    """The weights of one layer, ``(batch, heads, time, time)``."""
    layer, inputs, own = activation.layer, activation.given, activation.params
    if inputs is None or not isinstance(layer, TransformerConfig):
        raise TypeError(f"expected the end of a transformer layer, got {activation.name}")
    view, c, x = whole_view(ops, layer, inputs), layer.attention, inputs.hidden
    if layer.pre_norm and layer.first_norm:
        x = normalize(ops, x, own["attention_norm"], layer.norm)
    queries, keys, _ = project_qkv(ops, x, own["attention"], c, view.rotation)
    # attention mixes values by its weights; of the identity's rows, the mixtures are the weights
    time = x.shape[1]
    identity = ops.asarray(np.eye(time)[None, None], ops.dtype(x))
    values = ops.broadcast_to(identity, (*keys.shape[:2], time, time))
    options: dict[str, Any] = {"scale": c.scale, "softcap": c.softcap, "bias": view.bias}
    mask = view.mask
    if c.sinks:
        keys, values, mask, options["bias"] = with_sinks(
            ops, keys, values, mask, view.bias, own["attention"]["sinks"]
        )
    return attention(ops, queries, keys, values, mask, **options)
