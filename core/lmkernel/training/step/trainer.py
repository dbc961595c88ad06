"""The trainer that every backend has, composed from the operations of its contract.

Constraints: a step is a pure function of arrays, compiled once; the state is consumed by it. All
that varies without being an array comes as 0-d arrays. Micro-batches add up as totals and counts,
so that a step over several equals the step over one batch of them all.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from lmkernel.config import TransformerConfig
from lmkernel.errors import ConfigError
from lmkernel.interfaces import StepResult, Trainer, TrainingState
from lmkernel.model import Model
from lmkernel.parameters import flatten
from lmkernel.random import raw_words
from lmkernel.training.step.checks import check_batch, check_finite, check_same_shapes
from lmkernel.training.step.gradients import Gradients
from lmkernel.training.step.metrics import Metrics
from lmkernel.training.step.optimizers.build import build_optimizer
from lmkernel.training.step.schedules import learning_rate
from lmkernel.training.step.trainable import Parts
from lmkernel.training.step.update import Update

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig
    from lmkernel.contract.mandatory import Array
    from lmkernel.interfaces import Callback, Factory, ParamTree
    from lmkernel.training.config import TrainerConfig
    from lmkernel.training.data import Batch, Batches

__all__ = ["ComposedTrainer"]


@final
class ComposedTrainer(Trainer):
    """Gradients by `value_and_grad`, an optimizer, and one compiled function around both."""

    def __init__(
        self,
        model: Model,
        config: TrainerConfig,
        parts: Parts,
        gradients: Gradients,
        update: Update,
    ) -> None:
        self.model, self.config = model, config
        self._parts, self._update = parts, update
        ops = self._ops = model.backend.ops

        def whole(
            trainable: Any, optimizer: Any, frozen: Any, batch: Any, key: Array, scalars: Any
        ) -> Any:
            return update(
                trainable, optimizer, gradients.first(trainable, frozen, batch, key), scalars
            )

        self._whole = ops.compile(whole, donate=(0, 1))
        self._first = ops.compile(gradients.first)
        self._added = ops.compile(gradients.added, donate=(0,))
        self._applied = ops.compile(update, donate=(0, 1))
        self._judged = ops.compile(gradients.judged)
        self._outputs = ops.compile(gradients.outputs)

    @classmethod
    def build(cls, factory: Factory, config: TrainerConfig) -> Self:
        if config.policy.params in ("bfloat16", "float16") or config.policy.compute == "float16":
            raise ConfigError(
                "TrainerConfig.policy: expected parameters in float32 or float64 and computation "
                f"there or in bfloat16, got {config.policy}"
            )
        described = _with_remat(config.model) if config.remat else config.model
        model = Model(factory.backend, described, config.policy)
        parts = Parts(model, config.lora, config.seed)
        loss = factory.create("loss", config.loss)
        judge = factory.create("loss", replace(config.loss, smoothing=0.0))
        optimizer = build_optimizer(factory, config.optimizer, parts.declare())
        update = Update(factory.ops, optimizer, config.clip)
        return cls(model, config, parts, Gradients(model, parts, loss, judge), update)

    def declare(self) -> ParamTree:
        """The model's parameters."""
        return self.model.declare()

    # states

    def start(self, values: Mapping[str, NDArray[Any]]) -> TrainingState:
        trainable, frozen = self._parts.split(values)
        with self.model.backend.scope():
            placed = self._placed(self._in_order(trainable))
            optimizer = self._update.optimizer.init(placed)
            return TrainingState(0, placed, self._placed(frozen), optimizer)

    def restore(
        self,
        values: Mapping[str, NDArray[Any]],
        trained: Mapping[str, NDArray[Any]],
        optimizer: Mapping[str, NDArray[Any]],
        step: int,
    ) -> TrainingState:
        ops, (_, frozen) = self._ops, self._parts.split(values)
        check_same_shapes("what is trained", self._parts.declare(), trained)
        with self.model.backend.scope():
            placed = self._placed(self._in_order(trained))
            fresh = flatten(self._update.optimizer.init(placed))
            check_same_shapes("the optimizer's state", fresh, optimizer)
            state: dict[str, Any] = {}
            for name, array in fresh.items():
                slot, _, parameter = name.partition(".")
                native = ops.asarray(optimizer[name], ops.dtype(array))
                state.setdefault(slot, {})[parameter] = native
            return TrainingState(step, placed, self._placed(frozen), state)

    def trained(self, state: TrainingState) -> dict[str, NDArray[Any]]:
        return self._host(state.trainable)

    def optimizer_values(self, state: TrainingState) -> dict[str, NDArray[Any]]:
        return self._host(flatten(state.optimizer))

    def weights(self, state: TrainingState) -> dict[str, NDArray[Any]]:
        return self._parts.merged(self._host(state.trainable), self._host(state.frozen))

    # steps

    def step(
        self, state: TrainingState, batches: Sequence[Batch]
    ) -> tuple[TrainingState, StepResult]:
        number = state.step + 1
        first = state.step * len(batches)
        rate = learning_rate(self.config.schedule, number, self.config.steps)
        with self._computing():
            arrays = [self._batch(b, f"batch {first + i}") for i, b in enumerate(batches)]
            keys = [self._key(first + i) for i in range(len(batches))]
            scalars = {
                name: self._ops.asarray(value, self.config.policy.params)
                for name, value in self._update.optimizer.scalars(number, rate).items()
            }
            trainable, optimizer, told = self._taken(state, arrays, keys, scalars)
            total, count, norm = (
                float(self._ops.to_numpy(told[name])) for name in ("total", "count", "norm")
            )
        result = StepResult(total / max(count, 1.0), count, norm, rate)
        check_finite(result, number, range(first, first + len(batches)))
        return TrainingState(number, trainable, state.frozen, optimizer), result

    def _taken(
        self, state: TrainingState, batches: Sequence[Any], keys: Sequence[Array], scalars: Any
    ) -> Any:
        trainable, frozen = state.trainable, state.frozen
        if len(batches) == 1:
            return self._whole(trainable, state.optimizer, frozen, batches[0], keys[0], scalars)
        sums = self._first(trainable, frozen, batches[0], keys[0])
        for batch, key in zip(batches[1:], keys[1:], strict=True):
            sums = self._added(sums, trainable, frozen, batch, key)
        return self._applied(trainable, state.optimizer, sums, scalars)

    def fit(
        self,
        state: TrainingState,
        data: Batches,
        *,
        until: int | None = None,
        accumulate: int = 1,
        callbacks: Sequence[Callback] = (),
    ) -> TrainingState:
        while state.step < (self.config.steps if until is None else until):
            first = state.step * accumulate
            state, result = self.step(state, [data.at(first + i) for i in range(accumulate)])
            if any([call.after_step(self, state, result) for call in callbacks]):  # noqa: C419 - each is called
                break
        return state

    # without training

    def evaluate(self, state: TrainingState, data: Batches) -> dict[str, float]:
        metrics = Metrics()
        with self._computing():
            for number in range(len(data)):
                batch = data.at(number)
                arrays = self._batch(batch, f"evaluation batch {number}")
                told = self._judged(state.trainable, state.frozen, arrays)
                host = {name: self._ops.to_numpy(x) for name, x in told.items()}
                metrics.add(
                    float(host["total"]),
                    float(host["count"]),
                    batch["targets"],
                    host.get("predicted"),
                )
        return metrics.result()

    def predict(self, state: TrainingState, batch: Batch) -> NDArray[Any]:
        named = {name: x for name, x in batch.items() if name != "targets"}
        with self.model.backend.scope():
            arrays = self._arrays(named)
            return self._ops.to_numpy(self._outputs(state.trainable, state.frozen, arrays))

    # to the device and back

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """In the backend's scope, where a number that is none warns nobody: it is looked for."""
        with (
            self.model.backend.scope(),
            np.errstate(over="ignore", invalid="ignore", divide="ignore"),
        ):
            yield

    def _batch(self, batch: Batch, where: str) -> dict[str, Array]:
        check_batch(self.config.model, batch, where)
        return self._arrays(batch)

    def _arrays(self, batch: Batch) -> dict[str, Array]:
        """Integers as int32, vectors in the dtype of the computation."""
        compute = self.config.policy.compute
        return {
            name: self._ops.asarray(x, "int32" if x.dtype.kind == "i" else compute)
            for name, x in batch.items()
        }

    def _key(self, number: int) -> Array:
        """Of dropout in one micro-batch; the lower half of the second word is free for sites."""
        words = raw_words(self.config.seed, f"dropout.{number}", 2)
        return self._ops.asarray([int(words[0] >> 33), int(words[1] >> 48) << 15], "int32")

    def _in_order(self, trained: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """As declared, whatever a file's order was, so that files written later are the same."""
        return {name: trained[name] for name in self._parts.declare()}

    def _placed(self, values: Mapping[str, NDArray[Any]]) -> dict[str, Array]:
        """In rows, whatever a file's order was: products of the other order round differently."""
        dtype, asarray = self.config.policy.params, self._ops.asarray
        return {n: asarray(np.asarray(value, order="C"), dtype) for n, value in values.items()}

    def _host(self, arrays: Mapping[str, Array]) -> dict[str, NDArray[Any]]:
        with self.model.backend.scope():
            return {name: self._ops.to_numpy(x) for name, x in arrays.items()}


def _with_remat(model: ModelConfig) -> ModelConfig:
    stacks = {"encoder": model.encoder, "decoder": model.decoder}
    changed: dict[str, Any] = {
        name: replace(stack, remat=True)
        for name, stack in stacks.items()
        if isinstance(stack, TransformerConfig)
    }
    if not changed:
        raise ConfigError("TrainerConfig.remat: expected a model with transformer layers")
    return replace(model, **changed)
