"""A process of `test_distribution`: trains on meshes, and process 0 writes what came out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from training_samples import DOUBLE, DROPPING, letters_batch, made_trainer, small_gpt2

from lmkernel.backend import Backend, load_distributed
from lmkernel.contract.distribution import Mesh
from lmkernel.distribution.agreement import any_of
from lmkernel.distribution.environment import find_processes
from lmkernel.training.config import OptimizerConfig
from lmkernel.training.data import ArrayBatches

__all__ = ["BATCHES", "OPTIONS", "SIZES", "STEPS", "measure"]

STEPS = 3
SIZES = {"vocab_size": 64, "n_layer": 1, "n_head": 2}
OPTIONS: dict[str, Any] = {
    "optimizer": OptimizerConfig(kind="adamw", weight_decay=0.1),
    "policy": DOUBLE,
    "clip": 0.05,
}


def uneven(seed: int) -> dict[str, Any]:
    """Rows of which some have many targets and others few, as no mean of means bears."""
    batch = letters_batch(4, seed=seed)
    batch["targets"][0, 1:] = -1
    return batch


BATCHES = [uneven(seed) for seed in range(2 * STEPS)]


def measure(backend: Backend) -> dict[str, Any]:
    """Losses, norms, metrics, weights and moments of some steps of two micro-batches each."""
    trainer = made_trainer(small_gpt2(**SIZES), backend=backend, **OPTIONS)
    state = trainer.start(trainer.model.initial(7))
    held = sum(int(np.prod(local_shape(x))) for x in state.trainable.values())
    losses = []
    for step in range(STEPS):
        state, result = trainer.step(state, BATCHES[2 * step : 2 * step + 2])
        losses.append([result.loss, result.norm, result.count])
    rows = {name: np.concatenate([b[name] for b in BATCHES]) for name in BATCHES[0]}
    return {
        "losses": losses,
        "evaluation": trainer.evaluate(state, ArrayBatches(rows, batch=8)),
        "weights": {name: x.tolist() for name, x in trainer.trained(state).items()},
        "moments": {name: x.tolist() for name, x in trainer.optimizer_values(state).items()},
        "held": held,
    }


def local_shape(x: Any) -> tuple[int, ...]:
    """Of the part that this process holds."""
    parts = getattr(x, "addressable_shards", None)
    return tuple(x.shape if parts is None else parts[0].data.shape)


def dropped_norm(backend: Backend) -> float:
    """The norm of a step with dropout over one row twice."""
    row = letters_batch(1)
    twice = {name: np.concatenate([x, x]) for name, x in row.items()}
    trainer = made_trainer(small_gpt2(**SIZES, **DROPPING), backend=backend, policy=DOUBLE)
    _, result = trainer.step(trainer.start(trainer.model.initial(7)), [twice])
    return result.norm


def main(name: str, out: Path, *meshes: str) -> None:
    """Measure on each mesh."""
    processes = find_processes()
    found: dict[str, Any] = {}
    for mesh in [mesh for mesh in meshes if mesh != "dropout"]:
        backend = load_distributed(name, Mesh.parse(mesh), processes)
        found[mesh] = measure(backend)
    backend = load_distributed(name, Mesh(), processes)
    if "dropout" in meshes:
        found["dropped"] = dropped_norm(backend)
    # asked by the last process alone
    found["asked"] = any_of(backend.distribution, asked=processes.rank == processes.count - 1)
    found["said"] = [
        len(x) for x in backend.distribution.exchange(b"x" * (1 + 99 * processes.rank))
    ]
    if processes.rank == 0:
        out.write_text(json.dumps(found), "utf-8")
    backend.distribution.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
