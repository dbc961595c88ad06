"""A loaded model as an object of its backend's own framework, to be trained and composed there.

Constraints: the backend makes the object (`BackendParts.native`); here is what all of them share,
written over the contract alone. Parameters have our dotted names and the shapes of `Model.declare`,
``(out, in)``, never fused or packed. What they compute is pure, and gradients flow through it.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.contract.capabilities import FLOATING
from lmkernel.contract.trees import tree_map
from lmkernel.errors import CapabilityError, UnknownNameError
from lmkernel.model import Model
from lmkernel.parameters import flatten
from lmkernel.plugins.specs import BackendSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.language_model import LanguageModel

__all__ = [
    "KEY_WORD",
    "KINDS",
    "hand_over",
    "host_values",
    "native_outputs",
    "positions_from_mask",
    "trainable_model",
]

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "module": "PyTorch module",
        "keras": "Keras model",
        "function": "pure function with a tree of parameters",
    }
)
"""What a backend may make of a model, by kind, in words."""

KEY_WORD = (1 << 16, 1 << 15)
"""How to draw the words of a dropout key: below the first number, times the second.

The lower bits stay free for the places in a model where something is dropped.
"""


def hand_over(model: LanguageModel, kind: str) -> Any:
    """What the backend of a model makes of it, by a kind among `KINDS`.

    Raises:
        UnknownNameError: there is no such kind.
        CapabilityError: the backend does not make it; the message says which backends do.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of native object", kind, KINDS)
    backend = model.model.backend
    make = backend.native.get(kind)
    if make is None:
        specs = backend.registry.all(BackendSpec).values()
        makers = ", ".join(sorted(spec.name for spec in specs if kind in spec.native))
        there = f"these do: {makers}" if makers else "no backend that is installed does"
        raise CapabilityError(
            f"backend {backend.name!r} makes no {KINDS[kind]} of a model; {there}"
        )
    return make(model)


def trainable_model(model: Model) -> Model:
    """The same model with parameters that are wide enough to be trained.

    They are float32, or float64 in a model of float64; `native_outputs` casts them to the dtype of
    the computation, so that a model of 16-bit numbers is trained in mixed precision.
    """
    wide: DType = "float64" if model.policy.compute == "float64" else "float32"
    if model.policy.params == wide:
        return model
    return Model(model.backend, model.config, replace(model.policy, params=wide))


def native_outputs(
    model: Model,
    params: Tree,
    input_ids: Array,
    attention_mask: Array | None = None,
    token_type_ids: Array | None = None,
    position_ids: Array | None = None,
    *,
    key: Array | None = None,
    cumsum: Callable[[Array, int], Array],
) -> Array:
    """The output of a model for arguments that are named as in transformers; pure.

    Args:
        model: what computes.
        params: as `Model.place` nests them, in any floating dtype.
        input_ids: integers ``(batch, time)``.
        attention_mask: ``(batch, time)``, 1 for a token and 0 for padding; by default all 1.
        token_type_ids: the segment of each token, ``(batch, time)``; by default 0.
        position_ids: ``(batch, time)``; by default the tokens of a row are numbered from 0.
        key: int32 ``(2,)`` for dropout, as `KEY_WORD` says; None for no dropout.
        cumsum: the framework's cumulative sum along an axis.

    Returns:
        ``(batch, time, size)``, or ``(batch, size)`` where the head pools.
    """
    ops, compute = model.backend.ops, model.policy.compute

    def cast(x: Array) -> Array:
        dtype = ops.dtype(x)
        return x if dtype == compute or dtype not in FLOATING else ops.astype(x, compute)

    positions = None if position_ids is None else ops.astype(position_ids, "int32")
    if attention_mask is not None:
        positions = positions_from_mask(ops, attention_mask, cumsum, positions)
    return model.forward(
        tree_map(cast, params),
        ops.astype(input_ids, "int32"),
        positions=positions,
        segments=None if token_type_ids is None else ops.astype(token_type_ids, "int32"),
        key=key,
    )


def positions_from_mask(
    ops: Ops,
    mask: Array,
    cumsum: Callable[[Array, int], Array],
    positions: Array | None = None,
) -> Array:
    """Positions ``(batch, time)`` of a mask of 1 and 0: -1 at padding, on whichever side it is.

    Args:
        ops: the backend's operations.
        mask: ``(batch, time)``.
        cumsum: the framework's cumulative sum along an axis.
        positions: int32, of the tokens; by default they are 0, 1, 2, … in each row.
    """
    real, one = ops.astype(mask, "int32"), ops.full((), 1, "int32")
    if positions is None:
        positions = ops.astype(cumsum(real, 1), "int32") - one
    return (positions + one) * real - one


def host_values(model: Model, params: Tree) -> dict[str, NDArray[np.floating[Any]]]:
    """Native parameters on the host by dotted name, as `LanguageModel.save` takes them."""
    to_numpy = model.backend.ops.to_numpy
    return {name: to_numpy(x) for name, x in flatten(params).items()}
