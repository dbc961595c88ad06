"""Encoder-decoders: what a file may leave out, what is shared, and steps beside whole rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sequence_kinds import SEQUENCES
from sequence_models import described

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.components.positions import sinusoids
from lmkernel.config import PrecisionPolicy
from lmkernel.errors import CheckpointError
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import from_ours
from lmkernel.loading import open_language_model
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

BACKEND = load_backend("numpy")


def written(name: str, folder: Path, *, without: str = "", **changes: Any) -> Model:
    """A new model of a kind in a folder; its checkpoint lacks what has a text in its name."""
    values = described(name)
    family = find_family(values["model_type"], "a test")
    model = Model(BACKEND, family.read(HfConfig(values)))
    tensors = from_ours(model.initial(3), family.rules(model.config), model.declare())
    kept = [(n, x) for n, x in tensors if not without or without not in n]
    write_directory(folder, config={**values, **changes}, tensors=kept)
    return model


def test_a_bias_that_a_file_leaves_out_is_zero(tmp_path: Path) -> None:
    written("bart", tmp_path / "bart", without="final_logits_bias")
    values = open_language_model(tmp_path / "bart", BACKEND).parameters()
    np.testing.assert_array_equal(values["head.bias"], np.zeros(101))


@pytest.mark.parametrize(
    ("name", "key", "tensor"),
    [("bart", "decoder_layers", "decoder.layers.2"), ("t5", "num_decoder_layers", "block.2")],
)
def test_too_many_layers_are_named_by_their_side(
    name: str, key: str, tensor: str, tmp_path: Path
) -> None:
    written(name, tmp_path / "made", **{key: 2})
    with pytest.raises(CheckpointError, match=rf"{key}: expected 3 layers.*{tensor}"):
        open_language_model(tmp_path / "made", BACKEND)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"dense_act_fn": "silu"}, "dense_act_fn: expected 'relu', as feed_forward_proj='relu'"),
        ({"is_gated_act": True}, "is_gated_act: expected False, as feed_forward_proj='relu'"),
        ({"is_gated_act": "perhaps"}, "is_gated_act: expected False"),
        ({"feed_forward_proj": "gated-gelu", "dense_act_fn": "gelu"}, "expected 'gelu_new'"),
    ],
)
def test_a_network_that_is_said_twice_is_the_same(changes: dict[str, Any], complaint: str) -> None:
    values = {**described("t5"), "feed_forward_proj": "relu", **changes}
    with pytest.raises(CheckpointError, match=complaint):
        find_family("t5", "a test").read(HfConfig(values))


def test_tables_of_very_many_layers_are_refused_before_they_are_listed() -> None:
    values = described("umt5", num_decoder_layers=10**9)
    with pytest.raises(CheckpointError, match="num_decoder_layers: expected at most"):
        find_family("umt5", "a test").read(HfConfig(values))


@pytest.mark.parametrize("layout", ["pairs", "halves", "halves_to_last"])
def test_sinusoids_lie_as_their_family_says(layout: str) -> None:
    width, positions = 6, np.array([[0, 1, 7]])
    last = 2 if layout == "halves_to_last" else 3
    angles = positions[..., None] / 10000.0 ** (np.arange(3) / last)
    if layout == "pairs":
        expected = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(1, 3, width)
    else:
        expected = np.concatenate([np.sin(angles), np.cos(angles)], -1)
    ops = BACKEND.ops
    with BACKEND:
        got = sinusoids(ops, ops.asarray(positions, "int32"), width, "float64", layout)
        np.testing.assert_allclose(ops.to_numpy(got), expected, atol=1e-14)


@pytest.mark.parametrize("name", sorted(SEQUENCES))
def test_steps_say_what_the_whole_row_says(name: str) -> None:
    values = described(name)
    config = find_family(values["model_type"], "a test").read(HfConfig(values))
    wide = PrecisionPolicy(params="float64", compute="float64", output="float64")
    model = Model(BACKEND, config, wide)
    drawn = np.random.default_rng(7)
    params = model.pack({n: x + drawn.normal(0, 0.2, x.shape) for n, x in model.initial(5).items()})
    source, target = drawn.integers(1, 101, (2, 7)), drawn.integers(1, 101, (2, 6))
    fed = np.where(np.arange(7) < [[7], [4]], np.arange(7), -1)
    with BACKEND:
        arrays = (BACKEND.ops.asarray(x, "int32") for x in (source, fed, target))
        inputs, positions, wanted = arrays
        whole = model.forward(params, inputs, positions=positions, target=wanted)
        exact = BACKEND.ops.to_numpy(whole)
    state = model.begin(params, 2, 8, memory=model.encode(params, source, fed.astype("i4")))
    for i in range(6):
        columns = target[:, i : i + 1].astype("i4"), np.full((2, 1), i, "i4")
        logits, state = model.step(params, *columns, state)
        np.testing.assert_allclose(logits, exact[:, i], atol=1e-11)
