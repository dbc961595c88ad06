"""The tutorial's computations on a backend's components, for any inputs.

Constraint: each computation uses the components that models consist of: the token embedding (as a
gather and as a product with one-hot vectors), dense layers, single-vector attention, and losses by
name.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import AttentionConfig, EmbeddingConfig, FeedForwardConfig
from lmkernel.interfaces import Embedded, LossConfig
from lmkernel_conformance.oracle import activation, loss, norm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.mandatory import Array
    from lmkernel_conformance.oracle.arithmetic import Arithmetic
    from lmkernel_conformance.subject import Subject

__all__ = ["compute", "define"]

Host = Any
Inputs = "Mapping[str, Any]"


def embedding(s: Subject, W: Host, x: Host, *, lookup: str = "gather") -> Array:
    """W·x for a one-hot x: the row of the embedding table for that token.

    Args:
        s: the backend.
        W: the transposed table, ``(hidden_size, vocab)``.
        x: the one-hot vector, ``(vocab,)``.
        lookup: the way to do it, ``"gather"`` or ``"one_hot"``.
    """
    width, vocab = np.shape(W)
    config = EmbeddingConfig(width=width, vocab=vocab, lookup=lookup)
    table = {"tokens": {"weight": s.array(np.asarray(W, float).T)}}
    token = np.array([[int(np.argmax(x))]])
    component = s.factory.create("embedding", config)
    hidden = component(table, s.array(token), s.array(np.zeros((1, 1), int))).hidden
    return s.ops.reshape(hidden, (width,))


def network(s: Subject, W: Host, e: Host, b: Host, *, activation: str = "none") -> Array:
    """act(W·e + b), by a dense layer."""
    out, into = np.shape(W)
    config = FeedForwardConfig(widths=(into, out), final_activation=activation)
    layer = {"weight": s.array(np.asarray(W, float)), "bias": s.array(np.asarray(b, float))}
    inputs = Embedded(
        s.array(np.asarray(e, float).reshape(1, 1, -1)), s.array(np.zeros((1, 1), int))
    )
    hidden = s.factory.create("encoder", config)({"layers": [layer]}, inputs).hidden
    return s.ops.reshape(hidden, (out,))


def weigh(s: Subject, W_a: Host, h: Host, *, normalized: bool) -> Array:
    """W_a·h, or softmax(W_a·h) if normalized, by the tutorial's single-vector attention."""
    width = len(h)
    config = AttentionConfig(kind="single_vector", width=width, heads=1)
    component = s.factory.create("attention", config)
    params = {"scores": {"weight": s.array(np.asarray(W_a, float))}}
    vector = s.array(np.asarray(h, float))
    result: Array = (
        component.weights(params, vector) if normalized else component.scores(params, vector)
    )
    return result


def loss_value(s: Subject, kind: str, outputs: Array, target: Host) -> Array:
    """The value of a loss: its total divided by its count."""
    total, count = s.factory.create("loss", LossConfig(kind=kind))(outputs, target)
    return total / count


def _mse(s: Subject, i: Mapping[str, Any]) -> Array:
    target = s.array(np.asarray(i["target"], float))
    return loss_value(s, "mse", s.array(np.asarray(i["prediction"], float)), target)


def _ce(s: Subject, i: Mapping[str, Any]) -> Array:
    """Cross-entropy of a prediction that is given as probabilities."""
    # The loss takes logits. As the prediction sums to one, its logarithm is logits whose softmax is
    # the prediction.
    logits = s.ops.log(s.array(np.asarray([i["prediction"]], float)))
    return loss_value(s, "soft_cross_entropy", logits, s.array(np.asarray([i["target"]], float)))


_COMPUTE: Mapping[str, Callable[[Any, Any], dict[str, Array]]] = MappingProxyType(
    {
        "embedding": lambda s, i: {
            "gather": embedding(s, i["W"], i["x"]),
            "one-hot product": embedding(s, i["W"], i["x"], lookup="one_hot"),
        },
        "network.logits": lambda s, i: {"": network(s, i["W"], i["e"], i["b"])},
        "network.output": lambda s, i: {
            "": network(s, i["W"], i["e"], i["b"], activation="softmax")
        },
        "attention.scores": lambda s, i: {"": weigh(s, i["W_a"], i["h"], normalized=False)},
        "attention.weights": lambda s, i: {"": weigh(s, i["W_a"], i["h"], normalized=True)},
        "loss.mse": lambda s, i: {"": _mse(s, i)},
        "loss.ce": lambda s, i: {"": _ce(s, i)},
    }
)


def compute(s: Subject, computation: str, inputs: Mapping[str, Any]) -> dict[str, Array]:
    """One of the tutorial's computations, by each way that there is to do it.

    Args:
        s: the backend, inside its scope.
        computation: the name of the computation, such as ``"network.logits"``.
        inputs: the inputs, by their names in the formula.
    """
    return _COMPUTE[computation](s, inputs)


def define(ar: Arithmetic, computation: str, inputs: Mapping[str, Any]) -> Host:
    """The same computation by the oracle."""
    i = {name: ar.constant(np.asarray(value, float)) for name, value in inputs.items()}
    if computation == "embedding":
        return norm.linear(ar, i["x"], i["W"])
    if computation.startswith("network"):
        logits = norm.linear(ar, i["e"], i["W"], i["b"])
        return logits if computation.endswith("logits") else activation.softmax(ar, logits)
    if computation.startswith("attention"):
        scores = norm.linear(ar, i["h"], i["W_a"])
        return scores if computation.endswith("scores") else activation.softmax(ar, scores)
    if computation == "loss.mse":
        return loss.mse(ar, i["prediction"], i["target"])
    return loss.soft_cross_entropy(ar, ar.log(i["prediction"]), i["target"])
