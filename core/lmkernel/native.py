"""A loaded model as an object of its backend's own framework, to be trained and composed there.

Constraints: the backend makes the object (`BackendParts.native`); here is what all of them share,
written over the contract alone. Parameters have our dotted names and the shapes of `Model.declare`,
``(out, in)``, never fused or packed. What they compute is pure, and gradients flow through it.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.arguments import require_known
from lmkernel.backend import load_backend
from lmkernel.config import PrecisionPolicy
from lmkernel.contract.capabilities import FLOATING
from lmkernel.contract.trees import tree_map
from lmkernel.errors import CapabilityError
from lmkernel.model import Model
from lmkernel.parameters import flatten, nest
from lmkernel.plugins.specs import BackendSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.language_model import LanguageModel

__all__ = [
    "KEY_WORD",
    "KINDS",
    "NativeModel",
    "as_function",
    "as_keras",
    "as_module",
    "hand_over",
    "positions_from_mask",
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
"""How to draw the two words of a dropout key: below the first number, times the second.

The lower bits stay free for the places in a model where something is dropped.
"""


def as_module(model: LanguageModel) -> Any:
    """The model as a `torch.nn.Module` with parameters of its own; on torch."""
    return hand_over(model, "module")


def as_keras(model: LanguageModel) -> Any:
    """The model as a `keras.Model` with weights of its own; where Keras runs the backend."""
    return hand_over(model, "keras")


def as_function(model: LanguageModel) -> Any:
    """The model as a pure function of its parameters, and these as a pytree; on JAX."""
    return hand_over(model, "function")


def hand_over(model: LanguageModel, kind: str) -> Any:
    """What the backend of a model makes of it, by a kind among `KINDS`.

    Raises:
        UnknownNameError: there is no such kind.
        CapabilityError: the backend does not make it; the message says which backends do.
    """
    require_known("kind of native object", kind, KINDS)
    backend = model.model.backend
    make = backend.native.get(kind)
    if make is None:
        specs = backend.registry.all(BackendSpec).values()
        makers = ", ".join(sorted(spec.name for spec in specs if kind in spec.native))
        there = f"these do: {makers}" if makers else "no backend that is installed does"
        raise CapabilityError(
            f"backend {backend.name!r} makes no {KINDS[kind]} of a model; {there}"
        )
    return make(NativeModel(_trainable(model.model)), model.parameters())


def _trainable(model: Model) -> Model:
    """The same model with parameters that are wide enough to be trained."""
    wide: DType = "float64" if model.policy.compute == "float64" else "float32"
    if model.policy.params == wide:
        return model
    return Model(model.backend, model.config, replace(model.policy, params=wide))


@final
class NativeModel:
    """What a model computes, without its parameters: what a backend's native object calls.

    As it is handed over, parameters are float32, or float64 in a model of float64, and each call
    casts them to the dtype of the computation, so that 16-bit models are trained in mixed
    precision.

    A copy is the same object. What is pickled is a description; its backend is looked up by name
    among all that is installed when it is read.

    Args:
        model: the composition, on its backend.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def policy(self) -> PrecisionPolicy:
        """The dtypes of parameters, computation and output."""
        return self._model.policy

    @property
    def device(self) -> str:
        """Where the backend computes, such as ``"cuda:1"``."""
        return self._model.backend.device

    def place(self, values: Mapping[str, NDArray[Any]]) -> Tree:
        """Host parameters by dotted name as native arrays in nested dicts and lists, copied."""
        return self._model.place(values)

    def nest(self, values: Mapping[str, Any]) -> Tree:
        """Values by dotted name in nested dicts and lists."""
        return nest(self._model.declare(), values)

    def host_values(self, params: Tree) -> dict[str, NDArray[Any]]:
        """Native parameters on the host by dotted name, as `LanguageModel.save` takes them."""
        to_numpy = self._model.backend.ops.to_numpy
        return {name: to_numpy(x) for name, x in flatten(params).items()}

    def output_shape(self, batch: int | None, time: int | None) -> tuple[int | None, ...]:
        """The shape of the output for ids ``(batch, time)``."""
        head, width = self._model.config.head, self._model.config.embedding.width
        if head is None:
            return (batch, time, width)
        return (batch, time, head.size) if head.pooling == "none" else (batch, head.size)

    def __call__(
        self,
        params: Tree,
        input_ids: Array,
        attention_mask: Array | None = None,
        token_type_ids: Array | None = None,
        position_ids: Array | None = None,
        *,
        key: Array | None = None,
        cumsum: Callable[[Array, int], Array],
    ) -> Array:
        """The output for arguments that are named as in transformers; pure.

        Args:
            params: nested as `place` nests them, in any floating dtype.
            input_ids: integers ``(batch, time)``.
            attention_mask: ``(batch, time)``, 1 for a token, 0 for padding; by default all 1.
            token_type_ids: the segment of each token, ``(batch, time)``; by default 0.
            position_ids: ``(batch, time)``; by default the tokens of a row are numbered from 0. A
                token that takes no position (`EmbeddingConfig.uncounted`) is left out of them.
            key: int32 ``(2,)`` for dropout, as `KEY_WORD` says; None for no dropout.
            cumsum: the framework's cumulative sum along an axis.

        Returns:
            ``(batch, time, size)``, or ``(batch, size)`` where the head pools.
        """
        ops, compute = self._model.backend.ops, self.policy.compute

        def cast(x: Array) -> Array:
            dtype = ops.dtype(x)
            return x if dtype == compute or dtype not in FLOATING else ops.astype(x, compute)

        positions = None if position_ids is None else ops.astype(position_ids, "int32")
        if attention_mask is not None:
            positions = positions_from_mask(ops, attention_mask, cumsum, positions)
        return self._model.forward(
            tree_map(cast, params),
            ops.astype(input_ids, "int32"),
            positions=positions,
            segments=None if token_type_ids is None else ops.astype(token_type_ids, "int32"),
            key=key,
        )

    def on(self, device: str, dtype: DType) -> NativeModel:
        """The same for parameters on another device; with another dtype it computes in that.

        Raises:
            CapabilityError: the backend does not declare them.
        """
        backend, policy = self._model.backend, self.policy
        if device != backend.device:
            backend = load_backend(backend.name, device=device, registry=backend.registry)
        if dtype != policy.params:
            output: DType = "float64" if dtype == "float64" else "float32"
            policy = PrecisionPolicy(params=dtype, compute=dtype, output=output)
        return NativeModel(Model(backend, self._model.config, policy))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        backend, config = self._model.backend, _Description(self._model.config)
        return _restore, (backend.name, backend.device, config, self.policy)


def _restore(
    backend: str, device: str, config: ModelConfig, policy: PrecisionPolicy
) -> NativeModel:
    return NativeModel(Model(load_backend(backend, device=device), config, policy))


@final
class _Description:
    """A configuration on its way into a pickle, which takes no read-only mapping."""

    def __init__(self, config: Any) -> None:
        self._config = config

    def __reduce__(self) -> tuple[Any, ...]:
        values = {f.name: getattr(self._config, f.name) for f in fields(self._config)}
        return _load_configuration, (
            type(self._config),
            {n: _picklable(x) for n, x in values.items()},
        )


def _picklable(value: Any) -> Any:
    if isinstance(value, MappingProxyType):
        return dict(value)
    return _Description(value) if is_dataclass(value) else value


def _load_configuration(kind: type, values: dict[str, Any]) -> Any:
    return kind(**values)


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
