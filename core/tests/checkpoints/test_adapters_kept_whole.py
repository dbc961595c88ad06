"""Tensors that adapters keep whole, in place of the model's, and low-rank changes of tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from foreign_adapters import MODULE, foreign
from safetensors.numpy import load_file, save_file
from small import values_of
from small_bert import BERT, small_bert

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import open_model, write_directory
from lmkernel.errors import CheckpointError
from lmkernel.families.bert import Bert
from lmkernel.families.names import from_ours
from lmkernel.loading import load
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

TABLE, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def whole(folder: Path, **tensors: np.ndarray) -> None:
    """Tensors that are kept whole, beside the pair that is there; ``__`` stands for a dot."""
    path = folder / "adapter_model.safetensors"
    more = {f"base_model.model.{name.replace('__', '.')}": value for name, value in tensors.items()}
    save_file({**load_file(path), **more}, path)


def test_tensors_that_are_kept_whole_take_the_place_of_the_models(tmp_path: Path) -> None:
    a, b = foreign(tmp_path)
    norm, weight = np.full(24, 2, np.float32), np.full((48, 24), 3, np.float32)
    whole(
        tmp_path,
        model__norm__modules_to_save__default__weight=norm,
        model__layers__0__self_attn__q_proj__base_layer__weight=weight,
    )
    tensors = open_model(tmp_path).tensors
    np.testing.assert_array_equal(tensors.read("model.norm.weight"), norm)
    np.testing.assert_allclose(tensors.read(f"{MODULE}.weight"), weight + 4 * (b @ a), rtol=1e-5)
    assert tensors.names() == open_model(tmp_path / "base").tensors.names()


def test_a_table_that_grew_and_its_head_are_read_with_the_vocabulary(tmp_path: Path) -> None:
    foreign(tmp_path)
    table = np.random.default_rng(1).normal(size=(64, 24)).astype(np.float32)
    whole(tmp_path, model__embed_tokens__weight=table, lm_head__weight=2 * table)
    with pytest.warns(UserWarning, match="both are used"):
        model = load(tmp_path, backend="numpy")
    assert model.config.embedding.vocab == 64
    assert model.config.head is not None
    assert not model.config.head.tied
    tensors = open_model(tmp_path).tensors
    np.testing.assert_array_equal(tensors.read(HEAD), 2 * table)
    assert tensors.dtype(HEAD) == "float32"
    assert tensors.blocks(HEAD) is None


def test_low_rank_changes_of_a_table_are_turned(tmp_path: Path) -> None:
    foreign(tmp_path, target_modules=["0.self_attn.q_proj", "embed_tokens"])
    a, b = np.ones((2, 61), np.float32), np.arange(48, dtype=np.float32).reshape(24, 2)
    half = {f"model__embed_tokens__lora_embedding_{x}": v for x, v in (("A", a), ("B", b))}
    before = open_model(tmp_path / "base").tensors.read(TABLE)
    whole(tmp_path, **half, lm_head__weight=before)
    got = open_model(tmp_path).tensors.read(TABLE)
    np.testing.assert_allclose(got, before + 4 * (b @ a).T, rtol=1e-4)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"model__embed_tokens__weight": (61, 24)}, "expected adapters that hold the model's head"),
        ({"model__embed_tokens__weight": (61, 23)}, r"a weight \(61, 24\), got \(61, 23\)"),
        ({"model__norm__weight": (25,)}, r"expected adapters of a weight \(24,\), got \(25,\)"),
        ({"score__weight": (3, 24)}, "'base_model.model.score.weight' is no half .* no tensor of"),
        ({"lm_head__bias": (61,)}, "'base_model.model.lm_head.bias' is no half .* no tensor of"),
    ],
)
def test_tensors_that_are_no_models_are_named(
    tmp_path: Path, tensors: dict[str, tuple[int, ...]], message: str
) -> None:
    foreign(tmp_path)
    whole(tmp_path, **{name: np.ones(shape, np.float32) for name, shape in tensors.items()})
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path, backend="numpy")


BIAS = {f"cls__predictions__{name}": (61,) for name in ("bias", "decoder__bias")}


def masked(folder: Path, **tensors: np.ndarray) -> Path:
    """A small BERT of masked tokens, and tensors that adapters of it keep whole."""
    foreign(folder, target_modules=None, modules_to_save=["cls"])
    (folder / "adapter_model.safetensors").unlink()
    config, model = {**BERT, "architectures": ["BertForMaskedLM"]}, small_bert()
    made = Model(load_backend("numpy"), model)
    parts = from_ours(values_of(made), Bert().rules(model), made.declare())
    write_directory(folder / "base", config=config, tensors=parts, overwrite=True)
    save_file({}, folder / "adapter_model.safetensors")
    whole(folder, **tensors)
    return folder


def test_a_tied_tensor_may_be_there_under_both_of_its_names(tmp_path: Path) -> None:
    # as PEFT writes modules_to_save=["cls"] of a BertForMaskedLM
    bias = np.arange(61, dtype=np.float32)
    model = load(masked(tmp_path, **dict.fromkeys(BIAS, bias)), backend="numpy")
    np.testing.assert_array_equal(model.parameters()["head.bias"], bias)


def test_a_copy_that_differs_is_named(tmp_path: Path) -> None:
    values = (np.full(shape, i, np.float32) for i, shape in enumerate(BIAS.values()))
    with pytest.raises(CheckpointError, match=r"cls\.predictions\.decoder\.bias' is no half"):
        load(masked(tmp_path, **dict(zip(BIAS, values, strict=True))), backend="numpy")
