"""Dense layers and norms behind the pooling."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from inspected import small_encoder
from sentence_folders import TEXTS, ULP, write_settings

import lmkernel as lk
from lmkernel.checkpoints.directory import write_directory
from lmkernel.errors import CheckpointError
from lmkernel.inspection import embed
from lmkernel.inspection.dense import Dense, read_dense, read_norm

if TYPE_CHECKING:
    from pathlib import Path


def write_dense(folder: Path, weight: Any, **changes: Any) -> None:
    """A dense layer without a bias."""
    made = {"in_features": 24, "out_features": 3, "bias": False, **changes}
    write_directory(folder, config=made, tensors={"linear.weight": weight}.items())


WEIGHT = np.linspace(-1, 1, 72, dtype=np.float32).reshape(3, 24)


@pytest.mark.parametrize(("activation", "f"), [("Tanh", np.tanh), ("Identity", lambda x: x)])
def test_dense_layers_follow_the_pooling(activation: str, f: Any, tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert")
    pooled = embed(model, TEXTS, "weightedmean")
    write_settings(model.files.path, {"pooling_mode": "weightedmean"}, ("", "1_Pooling", "2_Dense"))
    where = model.files.path / "2_Dense"
    write_dense(where, WEIGHT, activation_function=f"torch.nn.modules.{activation}")
    np.testing.assert_allclose(embed(model, TEXTS), f(pooled @ WEIGHT.T), rtol=1e-5, atol=1e-6)


def test_a_saved_copy_makes_the_same_vectors(tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert")
    folder = model.files.path
    write_settings(folder, {"pooling_mode": "max"}, ("", "1_Pooling", "2_Dense"), max_seq_length=4)
    write_dense(folder / "2_Dense", WEIGHT, activation_function="torch.nn.Tanh")
    about = {"prompts": {"q": "q: "}, "default_prompt_name": "q"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(about), "utf-8")
    lk.load(folder).save(tmp_path / "copy")
    lk.load(tmp_path / "copy").save(tmp_path / "copy", overwrite=True)
    found = lk.load(tmp_path / "copy").embed(TEXTS)
    # where arrays lie in memory decides how a sum of 24 products is rounded
    np.testing.assert_allclose(found, embed(model, TEXTS), rtol=0, atol=24 * ULP)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        # torch.nn.functional.gelu and silu in float64
        ("GELU", [-0.0455002638963584, 0.34573123063700656, 2.99595030590511]),
        ("SiLU", [-0.2384058440442351, 0.3112296656009273, 2.8577223804673]),
    ],
)
def test_activations_are_those_of_torch(activation: str, expected: list[float]) -> None:
    found = Dense(np.eye(3), 0.0, activation).apply(np.array([[-2, 0.5, 3]]))
    np.testing.assert_allclose(found, [expected], rtol=1e-12)


def write_norm(folder: Path, weight: Any, bias: Any, **changes: Any) -> None:
    tensors = {"norm.weight": weight, "norm.bias": bias}
    config = {"dimension": 24, **changes}
    write_directory(folder, config=config, tensors=tensors.items())


def test_norms_follow_the_pooling_and_dropout_does_nothing(tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert")
    pooled = embed(model, TEXTS, "weightedmean")
    places = ("", "1_Pooling", "2_Dropout", "3_LayerNorm")
    write_settings(model.files.path, {"pooling_mode": "weightedmean"}, places)
    weight, bias = np.linspace(0.5, 2, 48, dtype=np.float32).reshape(2, 24)
    write_norm(model.files.path / "3_LayerNorm", weight, bias)
    centred = pooled - pooled.mean(1, keepdims=True)
    # torch's LayerNorm has 1e-5 inside of the root
    expected = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5) * weight + bias
    np.testing.assert_allclose(embed(model, TEXTS), expected, rtol=1e-5, atol=1e-6)


def test_a_norm_of_another_size_is_named(tmp_path: Path) -> None:
    ones = np.ones(24, np.float32)
    write_norm(tmp_path / "n", ones, ones, dimension=3)
    with pytest.raises(
        CheckpointError, match=r"norm.weight of \(3,\), by config.json, got \(24,\)"
    ):
        read_norm(tmp_path / "n")


def test_a_layer_for_vectors_of_another_size_is_named(tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert")
    write_settings(model.files.path, {}, ("", "1_Pooling", "2_Dense"))
    write_dense(model.files.path / "2_Dense", WEIGHT[:, :9], in_features=9)
    with pytest.raises(CheckpointError, match=r"expected vectors of 9 numbers, by its .*, got 24"):
        embed(model, TEXTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation_function": "torch.nn.ELU"}, "activation_function: expected Identity, Tanh"),
        ({"out_features": 4}, r"expected a linear.weight of \(4, 24\), by config.json, got"),
        ({"bias": True}, "expected a linear.bias where config.json says so alone"),
        ({"use_residual": True}, "use_residual: expected False, got True"),
    ],
)
def test_a_dense_layer_that_cannot_be_is_named(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write_dense(tmp_path / "d", WEIGHT, **changes)
    with pytest.raises(CheckpointError, match=message):
        read_dense(tmp_path / "d")
    (tmp_path / "d" / "model.safetensors").unlink()
