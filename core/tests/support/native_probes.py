"""What a handed-over model gives in its framework, as host arrays by name.

Constraint: Keras runs on one framework in a process, so this is also a program: ``python
native_probes.py WAY FOLDER BATCH.npz RESULT.npz``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

import lmkernel
from lmkernel.parameters import flatten, nest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.language_model import LanguageModel

RATE = 0.05
"""Of a step of SGD."""
ADAMW: dict[str, float] = {"lr": 0.005, "eps": 1e-2, "weight_decay": 0.1}
"""Its division is well conditioned with so large a constant."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
Batch = dict[str, np.ndarray]
"""`INPUTS`, and ``"labels"`` and the ``"weights"`` of their losses."""


def model_inputs(batch: Batch) -> Batch:
    return {name: batch[name] for name in INPUTS if name in batch}


def result(
    outputs: Mapping[str, Any],
    gradients: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
) -> Batch:
    """Outputs and losses under their names, the rest by parameter."""
    named = {name: np.asarray(x) for name, x in outputs.items()}
    named |= {f"gradient of {name}": x for name, x in gradients.items()}
    return named | {f"{name} after a step": x for name, x in after.items()}


def by_module(model: LanguageModel, batch: Batch) -> Batch:
    """`torch.nn.Module`: AdamW in a plain loop, and `torch.compile`."""
    import torch

    module = model.as_module()
    tensors = {name: torch.tensor(x) for name, x in batch.items()}

    def loss() -> Any:
        logits = module(**model_inputs(tensors))
        rows, labels = logits.reshape(-1, logits.shape[-1]), tensors["labels"].reshape(-1)
        each = torch.nn.functional.cross_entropy(rows, labels, reduction="none")
        return (each * tensors["weights"].reshape(-1)).sum()

    with torch.no_grad():
        logits = module(**model_inputs(tensors)).numpy()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)(**model_inputs(tensors))
    optimizer = torch.optim.AdamW(module.parameters(), **ADAMW)
    first = loss()
    first.backward()
    slopes = {name: p.grad.numpy().copy() for name, p in module.named_parameters()}
    optimizer.step()
    outputs = {
        "logits": logits,
        "compiled logits": compiled.detach().numpy(),
        "loss": first.item(),
        "loss after a step": loss().item(),
    }
    return result(outputs, slopes, module.host_values())


def by_function(model: LanguageModel, batch: Batch) -> Batch:
    """A pure function on JAX: SGD by hand, and `jax.jit`."""
    import jax

    function, params = model.as_function()

    def loss(params: Any) -> Any:
        logits = function(params, **model_inputs(batch))
        logs = jax.nn.log_softmax(logits, -1)
        own = jax.numpy.take_along_axis(logs, batch["labels"][..., None], -1)[..., 0]
        return -(own * batch["weights"]).sum()

    first, slopes = jax.jit(jax.value_and_grad(loss))(params)
    after = jax.tree.map(lambda p, g: p - RATE * g, params, slopes)
    outputs = {
        "logits": function(params, **model_inputs(batch)),
        "compiled logits": jax.jit(function)(params, **model_inputs(batch)),
        "loss": first,
        "loss after a step": loss(after),
    }
    return result(outputs, function.host_values(slopes), function.host_values(after))


def by_keras(model: LanguageModel, batch: Batch) -> Batch:
    """`keras.Model`: SGD by the framework's gradients, and again by `fit`; `predict` compiles."""
    import keras

    made, fitted = model.as_keras(), model.as_keras()
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")

    def loss(logits: Any) -> Any:
        return entropy(batch["labels"], logits, batch["weights"].astype("float32"))

    optimizer = keras.optimizers.SGD(RATE)
    optimizer.build(made.trainable_variables)
    logits = keras.ops.convert_to_numpy(made(model_inputs(batch)))
    first, slopes = SLOPES[keras.backend.backend()](made, model_inputs(batch), loss)
    compiled = made.predict(
        model_inputs(batch), batch_size=3, verbose=0
    )  # the last batch is smaller
    optimizer.apply(slopes, made.trainable_variables)
    fitted.compile(keras.optimizers.SGD(RATE), entropy)
    fitted.fit(
        model_inputs(batch),
        batch["labels"],
        sample_weight=batch["weights"],
        batch_size=len(batch["labels"]),
        verbose=0,
    )
    paths = [v.path.partition("/")[2].replace("/", ".") for v in made.trainable_variables]
    outputs = {
        "logits": logits,
        "compiled logits": compiled,
        "loss": first,
        "loss after a step": keras.ops.convert_to_numpy(loss(made(model_inputs(batch)))),
    }
    host = [keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(g)) for g in slopes]
    values = result(outputs, dict(zip(paths, host, strict=True)), made.host_values())
    again = {f"{name} after a fit": x for name, x in fitted.host_values().items()}
    return values | again


def slopes_of_tensorflow(model: Any, inputs: Batch, loss: Callable[..., Any]) -> Any:
    import tensorflow as tf

    signature = {name: tf.TensorSpec((None, x.shape[1]), x.dtype) for name, x in inputs.items()}
    traced = tf.function(model, input_signature=[signature])
    with tf.GradientTape() as tape:
        total = loss(traced(inputs))
    return total.numpy(), tape.gradient(total, [v.value for v in model.trainable_variables])


def slopes_of_jax(model: Any, inputs: Batch, loss: Callable[..., Any]) -> Any:
    import jax

    def total(trained: Any, other: Any) -> Any:
        logits, _ = model.stateless_call(trained, other, inputs)
        return loss(logits)

    states = model.trainable_variables, model.non_trainable_variables
    return jax.jit(jax.value_and_grad(total))(*([v.value for v in state] for state in states))


def slopes_of_torch(model: Any, inputs: Batch, loss: Callable[..., Any]) -> Any:
    total = loss(model(inputs))
    total.backward()
    return total.item(), [v.value.grad for v in model.trainable_variables]


SLOPES = {
    "tensorflow": slopes_of_tensorflow,
    "jax": slopes_of_jax,
    "torch": slopes_of_torch,
}
WAYS = {
    "torch.module": by_module,
    "jax.function": by_function,
    "tensorflow.keras": by_keras,
    "jax.keras": by_keras,
    "torch.keras": by_keras,
}


def probe(way: str, folder: str, batch: Batch) -> Batch:
    """What one way gives, by our names."""
    model = lmkernel.load(folder, backend=way.partition(".")[0])
    return WAYS[way](model, batch)


def in_their_names(folder: str, values: Batch, pattern: str) -> Batch:
    """What of ``values`` is called ``pattern.format(NAME)``, by the checkpoint's names."""
    model = lmkernel.load(folder, backend="numpy")
    declared = model.model.declare()
    named = {name: values[pattern.format(name)] for name in flatten(declared)}
    return dict(model.origin.tensors(flatten(nest(declared, named)), declared))


if __name__ == "__main__":
    way, folder, batch, target = sys.argv[1:]
    np.savez(target, **probe(way, folder, dict(np.load(batch))))
