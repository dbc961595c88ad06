"""What a checkpoint holds besides the model: all that a run needs to go on to the same bits.

``trainer/state.json`` says where the run stood, ``trainer/optimizer.safetensors`` holds the
optimizer's state by slot and name, and with adapters ``trainer/trained.safetensors`` holds those.
Dropout draws and data order follow from the seed and the step, so no random state is left to keep.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.json_files import read_object, write_object
from lmkernel.checkpoints.safetensors import open_safetensors
from lmkernel.checkpoints.safetensors_writer import write_safetensors
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["SavedState", "read_state", "write_state"]

FOLDER = "trainer"
_UNSPLIT = 2**62
_STEPS = 2**31


@final
@dataclass(frozen=True)
class SavedState:
    """The content of a checkpoint's ``trainer`` folder.

    Args:
        facts: ``"step"``, and whatever the run wrote beside it.
        optimizer: the optimizer's values by dotted name.
        trained: the adapters by dotted name; empty where the model itself was trained.
    """

    facts: Mapping[str, Any]
    optimizer: Mapping[str, NDArray[Any]]
    trained: Mapping[str, NDArray[Any]]

    @property
    def step(self) -> int:
        """The step after which it was written."""
        return int(self.facts["step"])


def write_state(folder: Path, state: SavedState) -> None:
    """Write into a checkpoint's folder that is not in its place yet."""
    inner = folder / FOLDER
    inner.mkdir()
    for stem, values in (("optimizer", state.optimizer), ("trained", state.trained)):
        if values:
            write_safetensors(
                inner, values.items(), dtype="float32", shard_bytes=_UNSPLIT, stem=stem
            )
    write_object(inner / "state.json", state.facts)


def read_state(folder: Path) -> SavedState:
    """Read a checkpoint's state.

    Raises:
        CheckpointError: the folder holds a model alone, or is damaged.
    """
    inner = folder / FOLDER
    facts = read_object(inner / "state.json", required=True)
    _check_facts(facts, inner / "state.json")
    number = folder.name.removeprefix("step-")
    if number.isdecimal() and int(number) != facts["step"]:
        raise CheckpointError(
            f"{inner / 'state.json'}: step: expected {int(number)}, as the folder says, got "
            f"{facts['step']}"
        )
    return SavedState(facts, _values(inner, "optimizer"), _values(inner, "trained"))


def _check_facts(facts: Mapping[str, Any], path: Path) -> None:
    step, best = facts.get("step"), facts.get("best", {})
    if type(step) is not int or not 0 <= step < _STEPS:
        raise CheckpointError(f"{path}: expected a step, got {step!r}")
    kinds = {"step": (int,), "loss": (int, float), "worse": (int,)}
    sound = isinstance(best, dict) and all(
        type(best[key]) in kinds[key] and math.isfinite(best[key])
        for key in kinds.keys() & best.keys()
    )
    if not sound:
        raise CheckpointError(f"{path}: best: expected step, loss and worse, got {best!r}")


def _values(folder: Path, stem: str) -> dict[str, NDArray[Any]]:
    tensors = open_safetensors(folder, stem)
    return {} if tensors is None else {name: tensors.read(name) for name in tensors.names()}
