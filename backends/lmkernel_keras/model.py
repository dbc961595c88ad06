"""The `keras.Model`: weights by Keras, the computation by the core on the framework under Keras.

Constraints: the backend's scope is not entered, for Keras places arrays and compiles by itself. The
extent of a batch may be unknown while TensorFlow traces; the number of positions must be known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import keras
from keras import ops

from lmkernel.errors import InputError
from lmkernel.native import KEY_WORD, NativeModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmkernel.config import PrecisionPolicy
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree

__all__ = ["KerasLanguageModel"]

_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")


@final
class _Params(keras.layers.Layer):
    """A dict or list of weights, or of further dicts and lists, under their own names.

    Args:
        tree: host values.
        name: the layer's name.
        dtype: the weights' dtype.
    """

    def __init__(self, tree: Tree, name: str, dtype: DType) -> None:
        super().__init__(name=name)
        self._listed = isinstance(tree, list)
        pairs = enumerate(tree) if self._listed else tree.items()
        with keras.name_scope(name, caller=self):
            self._children = {str(n): self._child(x, str(n), dtype) for n, x in pairs}
        self.built = True

    def _child(self, tree: Tree, name: str, dtype: DType) -> Any:
        if isinstance(tree, (dict, list)):
            return _Params(tree, name, dtype)
        return self.add_weight(
            shape=tree.shape,
            initializer=lambda _, dtype: ops.convert_to_tensor(tree, dtype),
            dtype=dtype,
            name=name,
        )

    def tree(self) -> Tree:
        """The weights as the framework's tensors, in the dtype that Keras computes in."""
        tree = {
            name: child.tree() if isinstance(child, _Params) else ops.cast(child, child.value.dtype)
            for name, child in self._children.items()
        }
        return list(tree.values()) if self._listed else tree


@final
class KerasLanguageModel(keras.Model):
    """A model of lmkernel in Keras; weights have the model's dotted names, ``(out, in)``.

    It is called with token ids ``(batch, time)``, or with a dict of ``"input_ids"`` and, where
    wanted, ``"attention_mask"``, ``"token_type_ids"`` and ``"position_ids"``, and gives logits
    ``(batch, time, size)``, or ``(batch, size)`` where the head pools. With ``training=True`` there
    is dropout, whose keys come from a `keras.random.SeedGenerator`.

    Args:
        model: the model that computes.
        values: every parameter by dotted name, on the host.
    """

    def __init__(self, model: NativeModel, values: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(name="language_model", dtype=_policy(model.policy))
        self._native = model
        self._seeds = keras.random.SeedGenerator()
        tree = model.nest(values)
        with keras.name_scope(self.name, caller=self):
            self._parts = {n: _Params(x, n, model.policy.params) for n, x in tree.items()}
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Array:
        """Logits of ``inputs``; see the class."""
        return self._native(
            self._tree(),
            **_inputs_by_name(inputs),
            key=self._dropout_key() if training else None,
            cumsum=ops.cumsum,
        )

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> Any:
        """The shape and dtype of what `call` gives, without a call."""
        del training
        batch, time = (inputs["input_ids"] if isinstance(inputs, dict) else inputs).shape
        return keras.KerasTensor(self._native.output_shape(batch, time), self._native.policy.output)

    def host_values(self) -> dict[str, NDArray[Any]]:
        """The weights on the host by dotted name, as `LanguageModel.save` takes them."""
        return self._native.host_values(self._tree())

    def _tree(self) -> Tree:
        return {name: part.tree() for name, part in self._parts.items()}

    def _dropout_key(self) -> Array:
        below, times = KEY_WORD
        words = keras.random.randint((2,), 0, below, dtype="int32", seed=self._seeds)
        return words * times


def _policy(policy: PrecisionPolicy) -> str:
    mixed = policy.compute in ("bfloat16", "float16")
    return f"mixed_{policy.compute}" if mixed else policy.params


def _inputs_by_name(inputs: Any) -> dict[str, Array]:
    """The arguments of a call by name, with what may be left out."""
    given = dict(inputs) if isinstance(inputs, dict) else {"input_ids": inputs}
    if "input_ids" not in given or not given.keys() <= set(_INPUTS):
        raise InputError(
            f"expected token ids or a dict with input_ids among {', '.join(_INPUTS)}, "
            f"got {', '.join(given) or 'an empty dict'}"
        )
    ids = given["input_ids"]
    if len(ids.shape) != 2 or ids.shape[1] is None:  # noqa: PLR2004 - batch and time
        raise InputError(
            "input_ids: expected (batch, time) with a number of positions that is known while the "
            f"call is traced (pad to one length), got {tuple(ids.shape)}"
        )
    ones = {"attention_mask": ops.ones_like(ids), "token_type_ids": ops.zeros_like(ids)}
    return {**ones, **given}
