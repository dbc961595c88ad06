"""Positions that are computed and not read: a file that holds others is refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sequence_models import described

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.errors import CheckpointError
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.fixed_positions import sinusoid_rows
from lmkernel.families.names import from_ours
from lmkernel.loading import open_language_model
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

BACKEND = load_backend("numpy")
PEGASUS, M2M = "model.encoder.embed_positions.weight", "model.decoder.embed_positions.weights"
NAMES = {"pegasus": PEGASUS, "marian": PEGASUS, "m2m 100": M2M}
LAYOUTS = {"pegasus": "halves", "marian": "halves", "m2m 100": "halves_to_last"}


def table(name: str, rows: int = 3000) -> np.ndarray:
    """What transformers computes, in float32."""
    found = sinusoid_rows(np.arange(rows), 48, LAYOUTS[name]).astype(np.float32)
    if name == "m2m 100":
        found[1] = 0.0  # of padding
    return found


def written(name: str, folder: Path, tensors: dict[str, np.ndarray], **options: Any) -> Path:
    """A new model of a kind in a folder, with further tensors."""
    values = described(name, pad_token_id=1)
    family = find_family(values["model_type"], "a test")
    model = Model(BACKEND, family.read(HfConfig(values)))
    own = from_ours(model.initial(3), family.rules(model.config), model.declare())
    write_directory(folder, config=values, tensors=[*own, *tensors.items()], **options)
    return folder


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_computed_is_taken_as_it_was_stored(name: str, dtype: str, tmp_path: Path) -> None:
    folder = written(name, tmp_path / "made", {NAMES[name]: table(name)}, dtype=dtype)
    open_language_model(folder, BACKEND)


@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize("name", NAMES)
def test_others_are_refused_with_tensor_place_and_values(
    name: str, prefix: str, tmp_path: Path
) -> None:
    changed = table(name)
    changed[2047, 5] += 0.05
    tensor = prefix + NAMES[name].removeprefix("model.")
    folder = written(name, tmp_path / "made", {tensor: changed})
    right, wrong = (f"{x:.4g}" for x in (table(name)[2047, 5], changed[2047, 5]))
    with pytest.raises(CheckpointError) as caught:
        open_language_model(folder, BACKEND)
    said = str(caught.value)
    assert said.startswith(f"{folder}: config.json: the tensor {tensor!r}: expected the sines and")
    assert said.endswith(f"{right} at [2047, 5], got {wrong}")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_learned_table_is_no_sinusoids(dtype: str, tmp_path: Path) -> None:
    learned = np.random.default_rng(2).normal(0, 0.02, (20, 48)).astype(np.float32)
    folder = written("pegasus", tmp_path / "made", {PEGASUS: learned}, dtype=dtype)
    with pytest.raises(CheckpointError, match=r"computed and not read: 0 at \[0, \d\], got "):
        open_language_model(folder, BACKEND)


def test_the_row_of_padding_is_empty_where_padding_takes_no_position(tmp_path: Path) -> None:
    whole = sinusoid_rows(np.arange(20), 48, "halves_to_last").astype(np.float32)
    folder = written("m2m 100", tmp_path / "made", {M2M: whole})
    with pytest.raises(CheckpointError, match=r"not read: 0 at \[1, 0\], got 0\.8415"):
        open_language_model(folder, BACKEND)


@pytest.mark.parametrize("shape", [(20, 40), (48,), (1, 20, 48)])
def test_another_shape_is_named(shape: tuple[int, ...], tmp_path: Path) -> None:
    folder = written("pegasus", tmp_path / "made", {PEGASUS: np.zeros(shape, np.float32)})
    with pytest.raises(CheckpointError, match=r"expected positions of 48 values each, got \("):
        open_language_model(folder, BACKEND)


@pytest.mark.parametrize("tensor", ["model.encoder.embed_positions.weighty", "x." + PEGASUS])
def test_a_tensor_of_another_name_is_not_passed_over(tensor: str, tmp_path: Path) -> None:
    folder = written("pegasus", tmp_path / "made", {tensor: table("pegasus")})
    with pytest.raises(CheckpointError, match=r"no place for, such as '.*embed_positions"):
        open_language_model(folder, BACKEND)
