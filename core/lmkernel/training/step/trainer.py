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

from lmkernel.distribution.agreement import any_of
from lmkernel.errors import ConfigError
from lmkernel.interfaces import StepResult, Trainer, TrainingState
from lmkernel.model import Model
from lmkernel.parameters import flatten
from lmkernel.random import raw_words
from lmkernel.training.step.checks import check_batch, check_finite, check_same_shapes
from lmkernel.training.step.gradients import Gradients, Update
from lmkernel.training.step.heads import require_even_heads
from lmkernel.training.step.layout import Layout
from lmkernel.training.step.metrics import Metrics
from lmkernel.training.step.optimizers import build_optimizer
from lmkernel.training.step.schedules import learning_rate
from lmkernel.training.step.trainable import Parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Array
    from lmkernel.interfaces import Callback, Factory, ParamTree
    from lmkernel.training.config import TrainerConfig
    from lmkernel.training.data import Batch, Batches

__all__ = ["ComposedTrainer"]


@final
class ComposedTrainer(Trainer):
    """Gradients by `value_and_grad`, an optimizer, and one compiled function around both."""

    def __init__(self, factory: Factory, config: TrainerConfig) -> None:
        if config.policy.params in ("bfloat16", "float16") or config.policy.compute == "float16":
            raise ConfigError(
                "TrainerConfig.policy: expected parameters in float32 or float64 and computation "
                f"there or in bfloat16, got {config.policy}"
            )
        self.config = config
        self.model = Model(factory.backend, config.model_in_training(), config.policy)
        self._parts = Parts(self.model, config.lora, config.seed)
        declared = {**flatten(self.model.declare()), **self._parts.declare()}
        require_even_heads(config.model, factory.backend.distribution)
        self._layout = Layout(factory.backend, declared, config.policy.params)
        optimizer = build_optimizer(factory, config.optimizer, self._parts.declare())
        self._layout.require(optimizer)
        update = self._update = Update(factory.ops, optimizer, config.clip, self._layout)
        loss = factory.create("loss", config.loss)
        # smoothing is a means of training; what is measured is the likelihood of the targets
        evaluation_loss = factory.create("loss", replace(config.loss, smoothing=0.0))
        gradients = Gradients(self.model, self._parts, loss, evaluation_loss, self._layout)

        def whole(
            trainable: Any, optimizer: Any, frozen: Any, batch: Any, key: Array, scalars: Any
        ) -> Any:
            return update(
                trainable, optimizer, gradients.first(trainable, frozen, batch, key), scalars
            )

        # donated arrays give their memory to the results: no step holds its state twice
        ops = self._ops = factory.ops
        self._whole = ops.compile(whole, donate=(0, 1))
        self._first = ops.compile(gradients.first)
        self._add = ops.compile(gradients.add, donate=(0,))
        self._update_parameters = ops.compile(update, donate=(0, 1))
        self._evaluate = ops.compile(gradients.evaluate)
        self._outputs = ops.compile(gradients.outputs)

    @classmethod
    def build(cls, factory: Factory, config: TrainerConfig) -> Self:
        return cls(factory, config)

    def declare(self) -> ParamTree:
        """The model's parameters."""
        return self.model.declare()

    # states

    def start(self, values: Mapping[str, NDArray[Any]]) -> TrainingState:
        trainable, frozen = self._parts.split(values)
        with self.model.backend.scope():
            native = self._layout.params(self._in_order(trainable))
            optimizer = self._layout.begin(self._update.optimizer, trainable, native)
            return TrainingState(0, native, self._layout.params(frozen), optimizer)

    def restore(
        self,
        values: Mapping[str, NDArray[Any]],
        trained: Mapping[str, NDArray[Any]],
        optimizer: Mapping[str, NDArray[Any]],
        step: int,
    ) -> TrainingState:
        _, frozen = self._parts.split(values)
        check_same_shapes("what is trained", self._parts.declare(), trained)
        with self.model.backend.scope():
            native = self._layout.params(self._in_order(trained))
            fresh = self._layout.begin(self._update.optimizer, trained, native)
            saved = self._layout.restored(fresh, optimizer)
            return TrainingState(step, native, self._layout.params(frozen), saved)

    def trained(self, state: TrainingState) -> dict[str, NDArray[Any]]:
        return self._host(state.trainable)

    def optimizer_values(self, state: TrainingState) -> dict[str, NDArray[Any]]:
        return self._host(flatten(state.optimizer))

    def attend_gathering(self, state: TrainingState) -> None:
        """Take part where another process asks for `trained` and `optimizer_values`.

        One array is whole at a time, and none is kept.
        """
        with self.model.backend.scope():
            for arrays in (state.trainable, flatten(state.optimizer)):
                for _ in self._layout.gathered(arrays):
                    pass

    def weights(self, state: TrainingState) -> dict[str, NDArray[Any]]:
        return self._parts.merge(self._host(state.trainable), self._host(state.frozen))

    # steps

    def step(
        self, state: TrainingState, batches: Sequence[Batch]
    ) -> tuple[TrainingState, StepResult]:
        number = state.step + 1
        first = state.step * len(batches)  # micro-batches count through the run, for their keys
        rate = learning_rate(self.config.schedule, number, self.config.steps)
        with self._scope():
            arrays = [self._batch(b, f"batch {first + i}") for i, b in enumerate(batches)]
            keys = [self._key(first + i) for i in range(len(batches))]
            # as arrays, for a number would be compiled into the step, and every step would differ
            scalars = {
                name: self._layout.whole(value, self.config.policy.params)
                for name, value in self._update.optimizer.scalars(number, rate).items()
            }
            trainable, optimizer, figures = self._step(state, arrays, keys, scalars)
            total, count, norm = (
                float(self._ops.to_numpy(figures[name])) for name in ("total", "count", "norm")
            )
        result = StepResult(total / max(count, 1.0), count, norm, rate)
        check_finite(result, number, range(first, first + len(batches)))
        return TrainingState(number, trainable, state.frozen, optimizer), result

    def _step(
        self, state: TrainingState, batches: Sequence[Any], keys: Sequence[Array], scalars: Any
    ) -> Any:
        """New parameters, new state of the optimizer, and the figures of `Update`."""
        trainable, frozen = state.trainable, state.frozen
        if len(batches) == 1:  # one function, so that a backend need not keep the gradients
            return self._whole(trainable, state.optimizer, frozen, batches[0], keys[0], scalars)
        sums = self._first(trainable, frozen, batches[0], keys[0])
        for batch, key in zip(batches[1:], keys[1:], strict=True):
            sums = self._add(sums, trainable, frozen, batch, key)
        return self._update_parameters(trainable, state.optimizer, sums, scalars)

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
            asked = [call.after_step(self, state, result) for call in callbacks]
            if any_of(self._layout.distribution, asked=any(asked)):
                break
        return state

    # without training

    def evaluate(self, state: TrainingState, data: Batches) -> dict[str, float]:
        metrics = Metrics()
        with self._scope():
            for number in range(len(data)):
                batch = data.at(number)
                arrays = self._batch(batch, f"evaluation batch {number}")
                sums = self._evaluate(state.trainable, state.frozen, arrays)
                host = {name: self._ops.to_numpy(sums[name]) for name in ("total", "count")}
                if "predicted" in sums:
                    host["predicted"] = self._layout.gather_rows(sums["predicted"])
                metrics.add(host, batch["targets"])
        return metrics.result()

    def predict(self, state: TrainingState, batch: Batch) -> NDArray[Any]:
        named = {name: x for name, x in batch.items() if name != "targets"}
        with self.model.backend.scope():
            arrays = self._layout.batch(named, self.config.policy.compute)
            outputs = self._outputs(state.trainable, state.frozen, arrays)
            return self._layout.gather_rows(outputs)

    # to the device and back

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """The backend's scope, without NumPy's warnings: `check_finite` looks for NaN itself."""
        with (
            self.model.backend.scope(),
            np.errstate(over="ignore", invalid="ignore", divide="ignore"),
        ):
            yield

    def _batch(self, batch: Batch, where: str) -> dict[str, Array]:
        check_batch(self.config.model, batch, where)
        return self._layout.batch(batch, self.config.policy.compute)

    def _key(self, number: int) -> Array:
        """A micro-batch's key of dropout; half of the second word is left to the sites."""
        own = f".{self._layout.part}" if self._layout.part else ""
        words = raw_words(self.config.seed, f"dropout.{number}{own}", 2)
        return self._layout.whole([int(words[0] >> 33), int(words[1] >> 48) << 15], "int32")

    def _in_order(self, trained: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """In the order of declaration, whatever a file's was, so that later files are equal."""
        return {name: trained[name] for name in self._parts.declare()}

    def _host(self, arrays: Mapping[str, Array]) -> dict[str, NDArray[Any]]:
        with self.model.backend.scope():
            return self._layout.gather(arrays)
