"""A model as a pure function and its parameters, for JAX's own transformations.

Constraint: the backend's scope, which has 64-bit types on, can't be entered inside somebody else's
`jax.jit`, which was traced without them. So the function enters none: it runs under the types that
its caller has, which makes no difference to a model of float32 or fewer bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import jax
import jax.numpy as jnp

from lmkernel.errors import CapabilityError
from lmkernel.native import KEY_WORD, NativeModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Array, Tree

__all__ = ["ModelFunction", "as_function"]


def as_function(
    model: NativeModel, values: Mapping[str, NDArray[Any]]
) -> tuple[ModelFunction, Tree]:
    """``(function, params)``: what a loaded model computes, and a copy of what it computes with.

    ``params`` are nested dicts and lists of arrays, as the model declares them.
    """
    return ModelFunction(model), model.place(values)


@final
class ModelFunction:
    """A pure function of parameters and token ids.

    `jax.jit`, `jax.grad` and `jax.vmap` take it as any other, inside and outside the backend's
    scope.

    Args:
        model: the model that computes.
    """

    def __init__(self, model: NativeModel) -> None:
        self._model = model

    def __call__(
        self,
        params: Tree,
        input_ids: Array,
        attention_mask: Array | None = None,
        token_type_ids: Array | None = None,
        position_ids: Array | None = None,
        *,
        key: Array | None = None,
    ) -> Array:
        """Logits ``(batch, time, size)``, or ``(batch, size)`` where the head pools.

        Args:
            params: nested dicts and lists of arrays.
            input_ids: integers ``(batch, time)``.
            attention_mask: ``(batch, time)``, 1 for a token and 0 for padding, on either side.
            token_type_ids: the segment of each token, ``(batch, time)``.
            position_ids: ``(batch, time)``; by default the tokens of a row are numbered from 0.
            key: a key of `jax.random`, for dropout; by default there is no dropout.

        Raises:
            CapabilityError: the model is of float64 and JAX's 64-bit types are off.
        """
        if self._model.policy.compute == "float64" and not jax.config.jax_enable_x64:
            raise CapabilityError(
                "a model of float64: expected JAX's 64-bit types to be on around the call "
                "(jax.enable_x64(True)), they are off"
            )
        given = (input_ids, attention_mask, token_type_ids, position_ids)
        return self._model(
            params,
            *(None if x is None else jnp.asarray(x) for x in given),
            key=None if key is None else _dropout_key(key),
            cumsum=jnp.cumsum,
        )

    def host_values(self, params: Tree) -> dict[str, NDArray[Any]]:
        """Parameters on the host by dotted name, as `LanguageModel.save` takes them."""
        return self._model.host_values(params)


def _dropout_key(key: Array) -> Array:
    below, times = KEY_WORD
    return jax.random.randint(key, (2,), 0, below, "int32") * jnp.int32(times)
