"""KerasHub on TensorFlow or JAX (``KERAS_BACKEND`` decides): GPT-2, AdamW, ``global_clipnorm``.

Variants, both compiled by XLA:
    fit: ``fit`` over arrays; a step ends when a callback has read the loss.
    batch: ``train_on_batch`` in a loop.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import keras
import keras_hub
import numpy as np
from common import available_processors
from steps import Curve, batches, read_task, report, time_steps

if TYPE_CHECKING:
    from steps import Task, Tokens


def _compile_model(task: Task) -> Any:
    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=task.vocab,
        num_layers=task.layers,
        num_heads=task.heads,
        hidden_dim=task.hidden_size,
        intermediate_dim=task.mlp_size,
        dropout=0.0,
        max_sequence_length=task.time,
        dtype="float32",
    )
    model = keras_hub.models.GPT2CausalLM(backbone, preprocessor=None)
    optimizer = keras.optimizers.AdamW(
        task.learning_rate,
        weight_decay=task.decay,
        beta_1=task.beta1,
        beta_2=task.beta2,
        epsilon=task.eps,
        global_clipnorm=task.clip,
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss, weighted_metrics=None, jit_compile=True)
    return model


def _features(inputs: Tokens) -> dict[str, Tokens]:
    return {"token_ids": inputs, "padding_mask": np.ones_like(inputs)}


class _Clock(keras.callbacks.Callback):
    """Times steps; takes a step's loss from Keras' mean over the epoch so far."""

    def __init__(self) -> None:
        super().__init__()
        self.curve = Curve()
        self._start = 0.0
        self._total = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        total = float(logs["loss"]) * (batch + 1)
        self.curve.seconds.append(time.perf_counter() - self._start)
        self.curve.losses.append(total - self._total)
        self._total = total


def _fit(task: Task, model: Any) -> Curve:
    inputs, targets = (np.concatenate(rows) for rows in zip(*batches(task), strict=True))
    clock = _Clock()
    options = {"batch_size": task.batch, "shuffle": False, "verbose": 0, "callbacks": [clock]}
    model.fit(_features(inputs), targets, **options)
    return clock.curve


def _train_on_batches(task: Task, model: Any) -> Curve:
    def step(inputs: Tokens, targets: Tokens) -> float:
        metrics = model.train_on_batch(_features(inputs), targets, return_dict=True)
        model.reset_metrics()  # else it returns the mean since the beginning
        return float(metrics["loss"])

    return time_steps(task, step)


def main() -> None:
    """Train, print."""
    task = read_task()
    model = _compile_model(task)
    curve = _fit(task, model) if task.variant == "fit" else _train_on_batches(task, model)
    report(curve, ["keras-hub", "keras", keras.config.backend()], available_processors())


if __name__ == "__main__":
    main()
