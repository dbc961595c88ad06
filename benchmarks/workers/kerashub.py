"""KerasHub on TensorFlow or JAX (``KERAS_BACKEND`` decides): one process, one variant.

Variants:
    default: ``compile(sampler="greedy")`` and ``generate``, as its documentation says; the whole
        generation is one compiled function. On TensorFlow Keras itself decides whether XLA
        compiles it, and on processors it did not when this was written.
    xla: the same with ``jit_compile=True``; on TensorFlow only, JAX always compiles.

``generate`` is one compiled loop that gives no token until it ends, and its loop starts after a
prefill over the whole padded length. So a generation of N tokens is timed, and then one of a single
token whose prompt is all the others: the padded length, the compiled function and the prefill are
the same, and the difference is N - 1 steps of decoding.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import keras
import keras_hub
import numpy as np
from common import available_processors, read_task, report


class _Generate:
    """``CausalLM.generate`` on token ids, never stopping early."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def _run(self, prompts: list[list[int]], count: int) -> tuple[float, np.ndarray]:
        given = np.asarray(prompts, np.int32)
        inputs = {
            "token_ids": np.pad(given, ((0, 0), (0, count))),
            "padding_mask": np.pad(np.ones_like(given), ((0, 0), (0, count))),
        }
        start = time.perf_counter()
        out = self.model.generate(inputs, stop_token_ids=None)
        tokens = np.asarray(out["token_ids"])
        return time.perf_counter() - start, tokens

    def decode(self, prompts: list[list[int]], count: int) -> tuple[float, list[list[int]]]:
        long, tokens = self._run(prompts, count)
        short, again = self._run(tokens[:, :-1].tolist(), 1)
        if not np.array_equal(tokens, again):
            raise SystemExit("expected the last token to be the same when generated alone")
        return long - short, tokens[:, -count:].tolist()

    def prefill(self, prompt: list[int]) -> float:
        return self._run([prompt], 1)[0]


def _load(folder: str) -> Any:
    """Build the model with the checkpoint's weights; the converter forgets the norm's epsilon."""
    config = json.loads((Path(folder) / "config.json").read_text())
    backbone = keras_hub.models.Llama3Backbone.from_preset(
        folder, dtype="float32", layer_norm_epsilon=config["rms_norm_eps"]
    )
    return keras_hub.models.Llama3CausalLM(backbone, preprocessor=None)


def main() -> None:
    """Load, measure, print."""
    task = read_task()
    model = _load(task.model)
    extra = {"jit_compile": True} if task.variant == "xla" else {}
    model.compile(sampler="greedy", **extra)
    runner = _Generate(model)
    packages = ["keras-hub", "keras", keras.config.backend()]
    report(task, runner.decode, runner.prefill, packages, available_processors())


if __name__ == "__main__":
    main()
