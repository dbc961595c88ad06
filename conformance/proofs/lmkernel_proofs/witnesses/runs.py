"""Witnesses of training runs: losses and gradients at 100 digits, updates as closed sums."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import EmbeddingConfig, FeedForwardConfig, HeadConfig, ModelConfig
from lmkernel_conformance.oracle import training as oracle
from lmkernel_proofs.witnesses.activations import cross_entropy, mse
from lmkernel_proofs.witnesses.point import Point, grid
from lmkernel_proofs.witnesses.precise import MP, exact
from lmkernel_proofs.witnesses.shapes import parameter_shapes
from lmkernel_proofs.witnesses.stacks import forward
from lmkernel_proofs.witnesses.updates import adamw, length

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["POINTS"]

Host = Any

_VECTORS = ModelConfig(
    embedding=EmbeddingConfig(kind="vectors", width=2),
    encoder=FeedForwardConfig(widths=(2, 3), final_activation="tanh"),
    decoder=FeedForwardConfig(widths=(3, 2), final_activation="none"),
)
_TOKENS = ModelConfig(
    embedding=EmbeddingConfig(width=2, vocab=4),
    encoder=FeedForwardConfig(widths=(2, 3), final_activation="sigmoid"),
    head=HeadConfig(width=3, size=4, bias=True),
)
_PAIRS = [
    {"inputs": grid(f"run.x{i}", 2, 2, 2), "targets": grid(f"run.y{i}", 2, 2, 2)} for i in range(3)
]
_SEQUENCES = [
    {"inputs": np.array([[0, 3], [1, 2]]), "targets": np.array([[3, -1], [2, 0]])},
    {"inputs": np.array([[2, 2], [0, 1]]), "targets": np.array([[-1, -1], [-100, 1]])},
    {"inputs": np.array([[3, 1], [3, 0]]), "targets": np.array([[0, 1], [2, 3]])},
]
_LEARNING_RATE, _CLIP = 0.0625, 0.5
_NEAR_ONE: Any = {"ulps": 1024, "why": "1 - 0.999ᵗ cancels, at first a thousandfold"}
_ADAM: Any = {"beta1": 0.875, "beta2": 0.96875, "eps": 2.0**-20}


def _loss(c: ModelConfig, kind: str, batch: Any, p: Mapping[str, Host]) -> Any:
    inputs, targets = batch["inputs"], batch["targets"]
    y = forward(c, p, exact(inputs) if inputs.dtype.kind == "f" else inputs)
    if kind == "mse":
        return mse(y, exact(targets))
    return MP.fsum(cross_entropy(y, targets).ravel()) / int((targets >= 0).sum())


def _slopes(f: Callable[[Any], Any], p: Mapping[str, Host]) -> dict[str, Host]:
    """Central differences, element by element."""
    found, h = {}, MP.mpf("1e-30")
    for name, x in p.items():
        found[name] = x * 0
        for index in np.ndindex(x.shape):
            step = x * 0
            step[index] = step[index] + h
            rise = f({**p, name: x + step}) - f({**p, name: x - step})
            found[name][index] = rise / (2 * h)
    return found


def _run(c: ModelConfig, kind: str, p: Any, batches: Any, update: Any) -> list[Host]:
    """The losses, then the parameters, each computed from the start and all gradients so far."""
    curve: list[Any] = []
    start, gradients = dict(p), []
    for batch in batches:
        curve.append(_loss(c, kind, batch, p))
        gradients.append(_slopes(partial(_loss, c, kind, batch), p))
        p = update(start, gradients)
    return [np.array(curve), *p.values()]


def _adam(start: Any, gradients: list[Any], **settings: float) -> Any:
    rates = [_LEARNING_RATE] * len(gradients)
    options = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, **settings, "decay": 0.0}
    return {n: adamw(x, [g[n] for g in gradients], rates, **options)[0] for n, x in start.items()}


def _sgd(start: Any, gradients: list[Any], clip: float = math.inf) -> Any:
    shares = [min(MP.mpf(1), MP.mpf(clip) / length(list(g.values()))) for g in gradients]
    return {
        n: x
        - MP.mpf(_LEARNING_RATE) * sum(s * g[n] for s, g in zip(shares, gradients, strict=True))
        for n, x in start.items()
    }


def _point(
    name: str,
    c: ModelConfig,
    kind: str,
    batches: Any,
    update: Any,
    witness_update: Any,
    **units: Any,
) -> Point:
    inputs = {n: grid(f"{name}.{n}", *s, low=-1, high=1) for n, s in parameter_shapes(c).items()}

    def by_oracle(ar: Any, t: Any) -> list[Host]:
        curve, p = oracle.run(ar, c, kind, t, batches, update())
        return [np.array(curve), *(p[n] for n in t)]

    return Point(
        id=f"training.{name}",
        of=("training.run", f"training.{name.partition('.')[0]}"),
        how="gradients by differences at 100 digits, the update from all of them at once",
        inputs=inputs,
        oracle=by_oracle,
        witness=lambda t: _run(c, kind, t, batches, witness_update),
        gradient=False,
        **{"ulps": 64, "why": "three steps, forth and back", **units},
    )


def _mean(name: str, c: ModelConfig, kind: str, batch: Any) -> Point:
    return Point(
        id=f"training.mean_loss.{name}",
        of=("training.mean_loss",),
        how="over all elements, or over the targets that are not ignored",
        inputs={n: grid(f"mean.{n}", *s, low=-1, high=1) for n, s in parameter_shapes(c).items()},
        oracle=lambda ar, t: [oracle.mean_loss(ar, c, kind, t, batch)],
        witness=lambda t: [_loss(c, kind, batch, t)],
        ulps=16,
        why="a network, and a loss over it",
    )


POINTS: tuple[Point, ...] = (
    _mean("mse", _VECTORS, "mse", _PAIRS[0]),
    _mean("cross_entropy", _TOKENS, "cross_entropy", _SEQUENCES[0]),
    _point(
        "adam.defaults", _VECTORS, "mse", _PAIRS, lambda: oracle.adam(_LEARNING_RATE), _adam,
        **_NEAR_ONE
    ),
    _point(
        "adam.mse", _VECTORS, "mse", _PAIRS, lambda: oracle.adam(_LEARNING_RATE, **_ADAM),
        partial(_adam, **_ADAM),
    ),
    _point("sgd.mse", _VECTORS, "mse", _PAIRS, lambda: oracle.sgd(_LEARNING_RATE), _sgd),
    _point(
        "sgd.cross_entropy", _TOKENS, "cross_entropy", _SEQUENCES,
        lambda: oracle.sgd(_LEARNING_RATE, clip=_CLIP), partial(_sgd, clip=_CLIP),
    ),
)  # fmt: skip
