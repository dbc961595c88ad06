"""A checkpoint that transformers wrote, what it gives, and the same model of ours beside it.

Constraint: transformers in float64 is the reference, its own error in float32 the measure: the
largest over 16 runs, in which rows come in other orders and attention is computed in two ways.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from family_inputs import (
    BATCH,
    ENDED,
    POSITIONS,
    REAL,
    SAMPLES,
    SAMPLES_REAL,
    SEGMENTS,
    SOUND,
    SOURCE,
    SOURCE_POSITIONS,
    TIME,
    TOKENS,
)
from family_kinds import Kind, as_modules_have_them
from honest_limits import Limit
from sight_kinds import PIXELS, TOKEN, as_seeing_modules_have_them
from vision_kinds import PICTURES, SQUARE_PICTURES, as_picture_modules_have_them

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import open_model
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import to_ours
from lmkernel.model import Model
from lmkernel.model.pair import similarity
from lmkernel.model.sight import picture_places

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Witness:
    """A checkpoint, the model that it is of, and what that gives."""

    kind: Kind
    folder: Path
    model: Any
    output: Limit
    gradients: dict[str, Limit]

    @property
    def shown(self) -> np.ndarray:
        """Which outputs are real."""
        return shown(self.kind, self.output.exact)


def shown(kind: Kind, output: np.ndarray) -> np.ndarray:
    """Which outputs are real."""
    if kind.seen:
        return kind.seen.real
    return np.ones(BATCH, bool) if output.ndim == 2 or kind.pictures else REAL


def probe(kind: Kind, shape: tuple[int, ...]) -> np.ndarray:
    """Weighs every real output differently."""
    drawn = np.random.default_rng(23).normal(size=shape).astype(np.float32)
    real = kind.seen.real if kind.seen else REAL
    return drawn if len(shape) == 2 or kind.pictures else drawn * real[..., None]


def evaluated(kind: Kind, model: Any, rows: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Outputs, in the order of all rows, and the gradient of their weighted sum."""
    model.zero_grad()
    output = kind.output(model, rows)
    weights = torch.tensor(probe(kind, output.shape)[rows], dtype=output.dtype)
    (output * weights).sum().backward()
    tied = getattr(model.config, "tie_word_embeddings", False)
    same = (tied and model._tied_weights_keys) or {}
    named = ((same.get(name, name), p.grad) for name, p in model.named_parameters())
    used = [(name, grad) for name, grad in named if grad is not None]
    gradients = {name: grad.numpy().copy() for name, grad in used}
    return output.detach().numpy()[np.argsort(rows)], gradients


def witness_of(kind: Kind, folder: Path) -> Witness:
    """A random model of a kind, written into a folder, with what it gives and its honest errors."""
    model = kind.make()
    model.save_pretrained(folder, max_shard_size=kind.shards)
    assert len(list(folder.glob("*.safetensors"))) > 1 or kind.shards == "50GB"
    exact, slopes = evaluated(kind, copy.deepcopy(model).double(), np.arange(BATCH))
    output, gradients = Limit(exact), {name: Limit(g) for name, g in slopes.items()}
    real = shown(kind, exact)
    orders = list(itertools.permutations(range(BATCH)))[::3]
    ways = ("eager", "sdpa") if model._supports_sdpa else ("eager",)
    for order, way in itertools.product(orders, ways):
        model.set_attn_implementation(way)
        got, slopes = evaluated(kind, model, np.array(order))
        output.honest.append(np.abs(got - exact)[real].max())
        for name, limit in gradients.items():
            error = np.abs(slopes[name] - limit.exact).max()
            if name == "logit_scale":  # its slope is a sum of outputs, whose errors may add up
                error = np.abs((got - exact) * probe(kind, exact.shape)).sum()
            limit.honest.append(error)
    _judge_nothings_by_weights(gradients)
    return Witness(kind, folder, model, output, gradients)


def _judge_nothings_by_weights(gradients: dict[str, Limit]) -> None:
    """A slope that cancels to nothing is as exact as that of the weight in the same product.

    Softmax sees no bias of keys, so that slope is rounding alone, the sum of what the weight's is
    made of. Sixteen runs that all sum in one framework's order say too little of what remains.
    """
    for name, limit in gradients.items():
        weight = gradients.get(name.removesuffix("bias") + "weight")
        if weight is not None and np.abs(limit.exact).max() < max(limit.honest):
            limit.honest.extend(weight.honest)


def read(folder: Path, backend: str = "numpy") -> tuple[Model, Any, dict[str, np.ndarray]]:
    """The model on a backend, its family, and its values."""
    files = open_model(folder)
    family = find_family(files.config["model_type"], str(folder))
    config = family.read(HfConfig(files.config))
    model = Model(load_backend(backend), config)
    values = to_ours(
        files.tensors,
        family.rules(config),
        model.declare(),
        where=str(folder),
        ignored=family.ignored(config),
    )
    return model, family, values


def fed(model: Model, kind: Kind) -> dict[str, Any]:
    """The batch on the backend."""
    ops = model.backend.ops
    if kind.pictures:
        return {"inputs": ops.asarray(PICTURES, "float32")}
    if kind.pair:
        positions = POSITIONS if kind.causal else np.broadcast_to(np.arange(TIME), ENDED.shape)
        tokens = {"inputs": ENDED, "positions": positions}
        texts = {name: ops.asarray(x.astype(np.int32), "int32") for name, x in tokens.items()}
        return {**texts, "pictures": ops.asarray(SQUARE_PICTURES, "float32")}
    named = {"inputs": TOKENS, "positions": POSITIONS}
    if kind.seen:
        named = {"inputs": kind.seen.tokens, "positions": kind.seen.positions, "pixels": PIXELS}
        named["places"] = picture_places(kind.seen.tokens, TOKEN)
    if kind.source:
        named = {"target": TOKENS, "target_positions": POSITIONS}
        named |= {"inputs": SOURCE, "positions": SOURCE_POSITIONS}
    if kind.sound:
        named.pop("positions")
        named["inputs"] = SOUND
    if kind.waves:
        steps = np.arange(SAMPLES_REAL.shape[1])
        named = {"inputs": SAMPLES[..., None], "positions": np.where(SAMPLES_REAL, steps, -1)}
    if kind.segments:
        named["segments"] = SEGMENTS
    dtypes = {name: "float32" if x.dtype.kind == "f" else "int32" for name, x in named.items()}
    return {name: ops.asarray(x, dtypes[name]) for name, x in named.items()}


def answer(model: Model, params: Any, batch: dict[str, Any]) -> Any:
    """A model's output; of a pair, how similar each picture is to each text."""
    if model.sight is not None:
        vectors = model.sight(params, batch["pixels"])
        flat = model.backend.ops.reshape(vectors, (-1, vectors.shape[-1]))
        told = {name: batch[name] for name in ("inputs", "positions")}
        return model.forward(params, **told, shown=(flat, batch["places"]))
    if model.pictures is None:
        return model.forward(params, **batch)
    texts = {name: x for name, x in batch.items() if name != "pictures"}
    vectors = model.pictures.forward(params["pictures"], batch["pictures"])
    return similarity(model.backend.ops, params["pair"], vectors, model.forward(params, **texts))


def whole(model: Model, f: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled where each of its small operations would be compiled alone."""
    return model.backend.ops.compile(f) if model.backend.name == "jax" else f


def names_of(kind: Kind) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """What gives a checkpoint's tensors the names of transformers' parameters."""
    if kind.seen:
        return as_seeing_modules_have_them
    return as_picture_modules_have_them if kind.pictures else as_modules_have_them
