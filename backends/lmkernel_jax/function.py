"""A model as a pure function and its parameters, for JAX's own transformations.

Constraint: the backend's scope, which has 64-bit types on, can't be entered inside somebody else's
`jax.jit`, which was traced without them. So the function enters none: it runs under the types that
its caller has, which makes no difference to a model of float32 or fewer bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from lmkernel.errors import CapabilityError
from lmkernel.native import KEY_WORD, native_outputs, trainable_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.language_model import LanguageModel
    from lmkernel.model import Model

__all__ = ["as_function"]


def as_function(model: LanguageModel) -> tuple[Callable[..., Array], Tree]:
    """``(function, params)``: what a loaded model computes, and a copy of what it computes with.

    ``params`` are nested dicts and lists of arrays, as the model declares them, in float32, or in
    float64 in a model of float64. ``function(params, input_ids, attention_mask=None,
    token_type_ids=None, position_ids=None, *, key=None)`` is pure and gives logits ``(batch, time,
    size)``, or ``(batch, size)`` where the head pools. Its arguments are integers ``(batch,
    time)``; with a ``key`` of `jax.random` there is dropout. `jax.jit`, `jax.grad` and `jax.vmap`
    take it as any other function, inside and outside the backend's scope.

    Raises:
        CapabilityError: when the function of a model of float64 is called without 64-bit types.
    """
    composition = trainable_model(model.model)
    return _function(composition), composition.place(model.parameters())


def _function(model: Model) -> Callable[..., Array]:
    def function(
        params: Tree,
        input_ids: Array,
        attention_mask: Array | None = None,
        token_type_ids: Array | None = None,
        position_ids: Array | None = None,
        *,
        key: Array | None = None,
    ) -> Array:
        if model.policy.compute == "float64" and not jax.config.jax_enable_x64:
            raise CapabilityError(
                "a model of float64: expected JAX's 64-bit types to be on around the call "
                "(jax.enable_x64(True)), they are off"
            )
        given = (input_ids, attention_mask, token_type_ids, position_ids)
        return native_outputs(
            model,
            params,
            *(None if x is None else jnp.asarray(x) for x in given),
            key=None if key is None else _dropout_key(key),
            cumsum=jnp.cumsum,
        )

    return function


def _dropout_key(key: Array) -> Array:
    below, times = KEY_WORD
    return jax.random.randint(key, (2,), 0, below, "int32") * jnp.int32(times)
