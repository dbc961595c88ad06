"""Each key of ``adapter_config.json`` is read, without effect, or refused by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from foreign_adapters import MODULE, foreign
from safetensors.numpy import load_file, save_file

import lmkernel as lk
from lmkernel.checkpoints.adapter_files import AdapterFiles
from lmkernel.checkpoints.adapter_targets import foreign_module
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kasa_config", {"beta": 1e-4}),
        ("use_bdlora", {"nblocks": 2}),
        ("monteclora_config", {"samples": 3}),
        ("use_dora", True),
        ("a_way_to_come", True),
    ],
)
def test_what_asks_for_more_is_refused_by_name(tmp_path: Path, key: str, value: object) -> None:
    foreign(tmp_path, **{key: value})
    with pytest.raises(CheckpointError, match=rf"adapter_config\.json: expected plain .*{key}"):
        AdapterFiles(tmp_path)


@pytest.mark.parametrize("value", [None, False, {}, []])
def test_what_asks_for_nothing_is_taken(tmp_path: Path, value: object) -> None:
    foreign(tmp_path, kasa_config=value, a_way_to_come=value, lora_dropout=0.1)
    assert list(AdapterFiles(tmp_path).shapes) == [MODULE]


@pytest.mark.parametrize("begun", ["lora_ga", "pissa_niter_4", ["x"], 3])
def test_a_way_to_begin_that_moves_the_model_is_refused(tmp_path: Path, begun: object) -> None:
    foreign(tmp_path, init_lora_weights=begun)
    with pytest.raises(CheckpointError, match="init_lora_weights: expected"):
        AdapterFiles(tmp_path)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"target_modules": ["k_proj"]}, "target_modules"),
        ({"target_modules": ["proj"]}, "target_modules"),
        ({"exclude_modules": ["layers.0.self_attn.q_proj"]}, "exclude_modules"),
        ({"exclude_modules": [MODULE]}, "exclude_modules"),
        ({"layers_to_transform": [1, 2]}, "layers_to_transform"),
        ({"layers_to_transform": 1, "layers_pattern": "layers"}, "layers_to_transform"),
        ({"layers_to_transform": [0], "layers_pattern": ["h"]}, "layers_to_transform"),
        ({"layers_to_transform": [0], "layers_pattern": 5}, "layers_to_transform"),
    ],
)
def test_tensors_of_a_module_that_is_not_named_are_a_contradiction(
    tmp_path: Path, changes: dict[str, Any], key: str
) -> None:
    foreign(tmp_path, **changes)
    with pytest.raises(CheckpointError, match=rf"{key}: expected what names '{MODULE}'"):
        AdapterFiles(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"target_modules": None},
        {"target_modules": "all-linear"},
        {"target_modules": r".*\.(q|k)_proj"},
        {"target_modules": [MODULE], "layers_to_transform": [5]},
        {"exclude_modules": ["v_proj", "proj"]},
        {"layers_to_transform": [0], "layers_pattern": ["layers"]},
        {"layers_to_transform": []},
    ],
)
def test_what_names_the_module_is_taken(changes: dict[str, Any]) -> None:
    assert foreign_module({"target_modules": ["q_proj"], **changes}, [MODULE]) is None


@pytest.mark.parametrize("names", [5, True, {"q_proj": 1}, ["q_proj", 5]], ids=str)
@pytest.mark.parametrize("key", ["target_modules", "exclude_modules", "modules_to_save"])
def test_m7_what_is_no_name_of_a_module_is_refused(tmp_path: Path, key: str, names: Any) -> None:
    foreign(tmp_path, **{key: names})
    said = rf"adapter_config\.json: {key}: expected names of modules, or an expression, got"
    with pytest.raises(CheckpointError, match=said):
        AdapterFiles(tmp_path)


def test_no_tensors_are_no_adapters(tmp_path: Path) -> None:
    foreign(tmp_path)
    save_file({}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match="expected tensors of adapters, got none"):
        AdapterFiles(tmp_path)


def test_integers_are_no_halves_of_a_product(tmp_path: Path) -> None:
    foreign(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    save_file({name: x.astype(np.int32) for name, x in load_file(file).items()}, file)
    with pytest.raises(CheckpointError, match=r"lora_.*expected floating-point values, got int32"):
        AdapterFiles(tmp_path)


TABLE, HEAD = "base_model.model.model.embed_tokens", "base_model.model.lm_head"
TIES: dict[str, Any] = {
    "ensure_weight_tying": True,
    "target_modules": ["0.self_attn.q_proj", "embed_tokens"],
}


def tied(folder: Path, head: float = 1.0, **changes: Any) -> np.ndarray:
    """Adapters of a table, and of the head that is tied to it; returns what the table is added."""
    foreign(folder, **{**TIES, **changes})
    [rows] = (
        value.shape[0]
        for name, value in load_file(folder / "base" / "model.safetensors").items()
        if name.endswith("embed_tokens.weight")
    )
    random = np.random.default_rng(4)
    a, b = (random.normal(size=n).astype(np.float32) for n in ((2, rows), (24, 2)))
    path = folder / "adapter_model.safetensors"
    more = {f"{TABLE}.lora_embedding_A": a, f"{TABLE}.lora_embedding_B": b}
    more |= {f"{HEAD}.lora_A.weight": b.T.copy() * head, f"{HEAD}.lora_B.weight": a.T.copy()}
    save_file({**load_file(path), **more}, path)
    return (b @ a).T * 4


def test_a_head_that_is_tied_is_adapted_as_its_table(tmp_path: Path) -> None:
    added = tied(tmp_path)
    assert AdapterFiles(tmp_path).tied == {"lm_head"}
    plain, model = (lk.load(path, backend="numpy") for path in (tmp_path / "base", tmp_path))
    assert model.config.head is not None
    assert model.config.head.tied
    name = "embedding.tokens.weight"
    np.testing.assert_allclose(
        model.parameters()[name], plain.parameters()[name] + added, rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("head", "changes", "said"),
    [
        (1.5, {}, "ensure_weight_tying: expected adapters of 'lm_head' that are a table's"),
        (1.0, {"ensure_weight_tying": False}, "target_modules: expected what names 'lm_head'"),
        (1.0, {"alpha_pattern": {"lm_head": 3}}, "ensure_weight_tying: expected one scale"),
        (1.0, {"ensure_weight_tying": "yes"}, "ensure_weight_tying: expected true or false"),
    ],
)
def test_a_head_that_is_not_as_its_table_is_named(
    tmp_path: Path, head: float, changes: dict[str, Any], said: str
) -> None:
    tied(tmp_path, head, **changes)
    with pytest.raises(CheckpointError, match=said):
        AdapterFiles(tmp_path)


@pytest.mark.parametrize(
    ("targets", "first"),
    [
        (["q_proj"], "model.layers.1.self_attn.q_proj"),
        (["0.self_attn.q_proj", "v_proj"], "model.layers.0.self_attn.v_proj"),
    ],
)
def test_a_listed_module_without_tensors_is_named(
    tmp_path: Path, targets: list[str], first: str
) -> None:
    foreign(tmp_path, target_modules=targets)
    with pytest.warns(UserWarning, match=rf"expected adapters of '{first}', which target_modules"):
        lk.load(tmp_path, backend="numpy")


@pytest.mark.parametrize(
    "changes",
    [
        {"layers_to_transform": [0]},
        {"exclude_modules": ["1.self_attn.q_proj"]},
        {"target_modules": ".*q_proj"},  # an expression is not looked at
        {"target_modules": ["0.self_attn.q_proj", "lm_head", "input_layernorm"]},
    ],
)
def test_what_is_left_out_needs_no_tensors(tmp_path: Path, changes: dict[str, Any]) -> None:
    foreign(tmp_path, **{"target_modules": ["q_proj"], **changes})
    lk.load(tmp_path, backend="numpy")
