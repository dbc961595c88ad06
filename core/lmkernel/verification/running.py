"""Runs of a model over rows of ids, all at the same layer at any time.

Constraint: the runs share the parameters of the layer that they have come to, so that a model is
read once however many there are, and no more than a layer of it is in memory.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.backend import load_backend
from lmkernel.comparison.layers import HONEST_RUNS, move_by_ulps
from lmkernel.components.positions import count_positions
from lmkernel.composed import assemble
from lmkernel.config import PrecisionPolicy
from lmkernel.inspection.run import activations
from lmkernel.model import Model
from lmkernel.plugins.registry import DEFAULT_BACKEND
from lmkernel.verification.angles import MultipliedAngles
from lmkernel.verification.arithmetic import rounded_products
from lmkernel.verification.budgets import channel_limit
from lmkernel.verification.layerwise import LayerWeights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.comparison.layers import Limit
    from lmkernel.config import ModelConfig
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array
    from lmkernel.inspection.run import Activation
    from lmkernel.origin import Origin
    from lmkernel.verification.layerwise import ChangeValues

    View = Callable[[int, NDArray[Any]], NDArray[np.float64]]

__all__ = [
    "ENDS",
    "HIDDEN",
    "LOGITS",
    "VECTOR",
    "Input",
    "Place",
    "Variant",
    "reference_places",
    "variant_logits",
]

LOGITS, HIDDEN, VECTOR = "logits", "hidden vectors", "sentence vector"
ENDS = frozenset({LOGITS, HIDDEN, VECTOR})
"""What a run ends in."""


@final
@dataclass(frozen=True)
class Input:
    """What a model is fed.

    Args:
        ids: int32 ``(batch, time)``.
        positions: int32 ``(batch, time)``, -1 at padding.
        target: what a decoder beside an encoder is fed, int32 ``(batch, target time)``; or None.
        given: activations by name, ``(batch, time, width)``, that take the place of the run's own
            in what comes after them: so each layer is run by itself.
    """

    ids: NDArray[np.int32]
    positions: NDArray[np.int32]
    target: NDArray[np.int32] | None = None
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
@dataclass(frozen=True)
class Place:
    """One activation of every input.

    Args:
        name: the activation's.
        reference: of each input in float64, ``(1, time, channels)``.
        limits: how far each may be off.
    """

    name: str
    reference: Sequence[NDArray[np.float64]]
    limits: Sequence[Limit]


def reference_places(
    origin: Origin,
    inputs: Sequence[Input],
    view: View = lambda _, logits: logits,
    variant: Variant | None = None,
    runs: int = HONEST_RUNS,
    arithmetic: str = "float32",
    end: str = HIDDEN,
) -> Iterator[Place]:
    """Every activation in float64 with its budget, in the order of the run; its end last.

    Args:
        origin: the checkpoint.
        inputs: each of one row and without padding.
        view: what is compared of the logits ``(1, time, size)`` of the input with this number, or
            of the last hidden vectors where there is no head.
        variant: the model with something changed.
        runs: how many honest runs there are.
        arithmetic: of the honest runs, as `verification.arithmetic` says.
        end: what it ends in where there is no head.
    """
    exact = _Model(origin, inputs, "float64", variant or Variant())
    own = variant or Variant()
    rounding = replace(own, operations={**own.operations, **rounded_products(arithmetic)})
    rough = _Model(origin, inputs, "float32", rounding)
    exact_runs = [_Run(exact, one) for one in inputs]
    honest_runs = [_Run(rough, one, order) for order in range(runs) for one in inputs]
    count = len(inputs)
    with exact.model.backend.scope(), exact.model.backend.inference():
        for made in zip(*(run.go() for run in (*exact_runs, *honest_runs)), strict=True):
            values = [np.asarray(x, np.float64) for _, x in made]
            yield _place(made[0][0], values[:count], values[count:])
        if exact.head_size:
            yield from _logits_place(exact, rough, exact_runs, honest_runs, view)
        else:
            yield _headless_place(exact_runs, honest_runs, view, end)


def variant_logits(
    origin: Origin, inputs: Sequence[Input], variant: Variant
) -> list[NDArray[np.float64]]:
    """The logits of a changed model in float64, ``(batch, time, size)`` for each input.

    Of a model without a head, the last hidden vectors.
    """
    model = _Model(origin, inputs, "float64", variant)
    runs = [_Run(model, one, parts=False) for one in inputs]
    with model.model.backend.scope(), model.model.backend.inference():
        for _ in zip(*(run.go() for run in runs), strict=True):
            pass
        if not model.head_size:
            return [run.hidden() for run in runs]
        return model.weights.logits([run.end for run in runs])


def _place(name: str, reference: Sequence[NDArray[Any]], honest: Sequence[NDArray[Any]]) -> Place:
    count = len(reference)
    budgets = []
    for i, want in enumerate(reference):
        budgets.append(channel_limit(name, want, honest[i::count]))
    return Place(name, reference, budgets)


def _logits_place(
    exact: _Model, rough: _Model, runs: Sequence[_Run], honest: Sequence[_Run], view: View
) -> Iterator[Place]:
    # a head may be as large as all layers together: in float64 it is used part by part, in float32
    # it is kept, for as many runs as there are
    logits = exact.weights.logits([run.end for run in runs])
    reference = [view(i, x) for i, x in enumerate(logits)]
    [whole] = rough.weights.head_parts(exact.head_size)
    budgets = []
    for i, want in enumerate(reference):
        made = (
            view(i, rough.weights.apply_head(*whole, *run.end)) for run in honest[i :: len(runs)]
        )
        budgets.append(channel_limit(LOGITS, want, made))
    yield Place(LOGITS, reference, budgets)


def _headless_place(runs: Sequence[_Run], honest: Sequence[_Run], view: View, name: str) -> Place:
    """Of a model without a head, what is made of the last hidden vectors."""
    reference = [view(i, run.hidden()) for i, run in enumerate(runs)]
    budgets = [
        channel_limit(name, want, (view(i, run.hidden()) for run in honest[i :: len(runs)]))
        for i, want in enumerate(reference)
    ]
    return Place(name, reference, budgets)


@final
class _Model:
    """A model without its head, and its parameters by layers."""

    def __init__(
        self, origin: Origin, inputs: Sequence[Input], dtype: DType, variant: Variant
    ) -> None:
        config = variant.config or origin.config
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
        full = Model(backend, config, policy)
        self.weights = LayerWeights(origin, full, self.used, **given)
        self.model = Model(backend, self._renumbered(replace(config, head=None)), policy)
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
class _Run:
    """One input on one model, in one order of rounding."""

    def __init__(self, model: _Model, given: Input, order: int = 0, *, parts: bool = True) -> None:
        self._model, self._order, self._parts = model, order, parts
        ops = model.model.backend.ops
        self.positions: Array = ops.asarray(given.positions, "int32")
        self._ids, self._given = self._rows(given.ids), given.given
        # a head that looks for ids knows them as they are
        fed = given.ids if given.target is None else given.target
        self._tokens: Array = ops.asarray(fed, "int32")
        self._source, self._target = self.positions, None
        if given.target is not None:
            own = model.model.config.target_embedding
            # the rows of a table of its own are all there
            apart = own is not None and not own.shared
            self._target = ops.asarray(given.target, "int32") if apart else self._rows(given.target)
            self.positions = count_positions(ops, self._target)
        self.last: Array = None

    def go(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """The activations by name on the host."""
        model, to_numpy = self._own_model(), self._model.model.backend.ops.to_numpy
        made: Iterator[Activation] = activations(
            model,
            self._model.params,
            self._ids,
            positions=self._source,
            target=self._target,
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
