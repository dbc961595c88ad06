"""One input on one model, in one order of rounding, activation by activation.

Constraint: runs of one `LayeredModel` share the parameters of the layer that they have come to.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.backend import load_backend
from lmkernel.comparison.layers import move_by_ulps
from lmkernel.components.positions import count_positions
from lmkernel.composed import assemble
from lmkernel.config import PrecisionPolicy
from lmkernel.inspection.run import activations
from lmkernel.model import Model
from lmkernel.model.sight import picture_places
from lmkernel.plugins.registry import DEFAULT_BACKEND
from lmkernel.verification.angles import MultipliedAngles
from lmkernel.verification.layerwise import LayerWeights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array
    from lmkernel.inspection.run import Activation
    from lmkernel.verification.layerwise import ChangeValues
    from lmkernel.verification.part import Part

__all__ = ["Input", "LayeredModel", "Run", "Variant"]


@final
@dataclass(frozen=True)
class Input:
    """What a model is fed.

    Args:
        ids: int32 ``(batch, time)``.
        positions: int32 ``(batch, time)``, -1 at padding.
        target: what a decoder beside an encoder is fed, int32 ``(batch, target time)``; or None.
        source: what is read in place of tokens, float32 ``(batch, …)``; or None.
        pictures: what is shown among the tokens, float32 pixels ``(batch, channels, height,
            width)``; or None.
        given: activations by name, ``(batch, time, width)``, that take the place of the run's own
            in what comes after them: so each layer is run by itself.
    """

    ids: NDArray[np.int32]
    positions: NDArray[np.int32]
    target: NDArray[np.int32] | None = None
    source: NDArray[np.float32] | None = None
    pictures: NDArray[np.float32] | None = None
    given: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@final
@dataclass(frozen=True, kw_only=True)
class Variant:
    """The model of a checkpoint with something changed; by default nothing is.

    Args:
        config: the changed configuration, or None for its own.
        operations: operations that replace the backend's, by name; each is given the backend's
            operations first.
        change: what is done to host values.
        layer_of: which layer of the files each layer is.
    """

    config: ModelConfig | None = None
    operations: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    change: ChangeValues | None = None
    layer_of: Callable[[int], int] | None = None


@final
class LayeredModel:
    """A model without its head, and its parameters by layers."""

    def __init__(self, part: Part, inputs: Sequence[Input], dtype: DType, variant: Variant) -> None:
        config = variant.config or part.config
        backend = load_backend(DEFAULT_BACKEND)
        if variant.operations:
            own = {n: _bind(f, backend.ops) for n, f in variant.operations.items()}
            whole: Any = {**backend.ops.overridden, **own}
            backend = replace(backend, ops=assemble(backend.ops, whole))
        every = [x.ravel() for one in inputs for x in (one.ids, one.target) if x is not None]
        self.used = np.unique(np.concatenate(every)).astype(np.int64)
        policy = PrecisionPolicy(params=dtype, compute=dtype, output=dtype)
        options = {"change": variant.change, "layer_of": variant.layer_of}
        given: Any = {name: f for name, f in options.items() if f is not None}
        full = Model(backend, replace(config, sight=None), policy)
        self.weights = LayerWeights(part, full, self.used, **given)
        # most changes are of what reads the tokens, and say nothing of pictures
        self.sight = config.sight or part.config.sight
        plain = replace(config, head=None, sight=None)
        self.model = Model(backend, self._renumbered(plain), policy)
        self.head_size = 0 if config.head is None else config.head.size
        self.params = self.weights.tree()

    def rows(self, ids: Any) -> NDArray[np.int64]:
        """The rows of ids in a table of those that are used."""
        found: NDArray[np.int64] = np.searchsorted(self.used, ids)
        return found

    def _renumbered(self, config: ModelConfig) -> ModelConfig:
        """The configuration with ids of tokens as `rows` has them."""
        own, target = config.embedding, config.target_embedding
        renumbered = replace(own, uncounted=self._row(own.uncounted))
        if target is not None and target.shared:
            target = replace(target, uncounted=self._row(target.uncounted))
        return replace(config, embedding=renumbered, target_embedding=target)

    def _row(self, token: int | None) -> int | None:
        """The row of one id; None of one that does not occur."""
        return None if token is None or token not in self.used else int(self.rows(token))


def _bind(operation: Callable[..., Any], ops: Any) -> Callable[..., Any]:
    return lambda *args, **options: operation(ops, *args, **options)


@final
class Run:
    """One input on one model, in one order of rounding."""

    def __init__(
        self,
        model: LayeredModel,
        given: Input,
        order: int = 0,
        *,
        parts: bool = True,
        shown: NDArray[Any] | None = None,
    ) -> None:
        self._model, self._order, self._parts = model, order, parts
        ops = model.model.backend.ops
        self.positions: Array = ops.asarray(given.positions, "int32")
        self._inputs, self._given = self._rows(given.ids), given.given
        self._where, self._target = self.positions, None
        if given.source is not None:
            # who reads pictures or sounds counts their vectors itself
            self._inputs, self._where = self._moved(given.source), None
        # a head that looks for ids knows them as they are
        fed = given.ids if given.target is None else given.target
        self._tokens: Array = ops.asarray(fed, "int32")
        if given.target is not None:
            own = model.model.config.target_embedding
            # the rows of a table of its own are all there
            apart = own is not None and not own.shared
            self._target = ops.asarray(given.target, "int32") if apart else self._rows(given.target)
            self.positions = count_positions(ops, self._target)
        self._shown = None if shown is None else self._places_of(shown, given.ids)
        self.last: Array = None

    def go(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """The activations by name on the host."""
        model, to_numpy = self._own_model(), self._model.model.backend.ops.to_numpy
        made: Iterator[Activation] = activations(
            model,
            self._model.params,
            self._inputs,
            positions=self._where,
            target=self._target,
            shown=self._shown,
            parts=self._parts,
            perturb=self._perturb,
        )
        for one in made:
            yield one.name, to_numpy(one.value)

    @property
    def end(self) -> tuple[Array, Array, Array]:
        """What a head reads: the last hidden vectors, positions, ids of tokens."""
        return self.last, self.positions, self._tokens

    def hidden(self) -> NDArray[Any]:
        """The last hidden vectors on the host."""
        return np.asarray(self._model.model.backend.ops.to_numpy(self.last))

    def _rows(self, ids: NDArray[np.int32]) -> Array:
        """The rows of ids, on the device."""
        return self._model.model.backend.ops.asarray(self._model.rows(ids), "int32")

    def _places_of(self, vectors: NDArray[Any], ids: NDArray[np.int32]) -> tuple[Array, Array]:
        """Vectors of pictures ``(batch, count, width)``, and which stands in each place."""
        model, sight = self._model.model, self._model.sight
        if sight is None:
            raise AssertionError("expected a model that is shown pictures, as vectors were made")
        ops, flat = model.backend.ops, vectors.reshape(-1, vectors.shape[-1])
        places = ops.asarray(picture_places(ids, sight.token), "int32")
        return ops.asarray(flat, model.policy.compute), places

    def _moved(self, source: NDArray[np.float32]) -> Array:
        """What is read in place of tokens, on the device, with its roundings moved."""
        policy = self._model.model.policy
        host = source.astype(policy.compute)
        if self._order:
            host = move_by_ulps(host, self._order, "source")
        return self._model.model.backend.ops.asarray(host, policy.compute)

    def _own_model(self) -> Model:
        """In float32 with angles that are multiplied, which is what others do."""
        model = self._model.model
        if model.policy.compute != "float32":
            return model
        own, rotaries = copy.copy(model), model.config.embedding.rotaries
        own.embedding = MultipliedAngles(model.embedding, model.backend.ops, rotaries, self._order)
        return own

    def _perturb(self, name: str, x: Array) -> Array:
        ops = self._model.model.backend.ops
        if name in self._given:
            x = ops.asarray(self._given[name], ops.dtype(x))
        if self._order:
            x = ops.asarray(move_by_ulps(ops.to_numpy(x), self._order, name), ops.dtype(x))
        self.last = x
        return x
