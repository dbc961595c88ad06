"""Dense layers behind the pooling."""

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
from lmkernel.inspection.dense import read_dense

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
    ("changes", "message"),
    [
        ({"activation_function": "torch.nn.GELU"}, "activation_function: expected Identity, Tanh"),
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
