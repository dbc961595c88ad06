"""PEFT's adapters from elsewhere: read over their model, and refused where unsound."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from foreign_adapters import MODULE, foreign
from letters import letters
from safetensors.numpy import load_file, save_file

from lmkernel.checkpoints.adapter import AdaptedTensors
from lmkernel.checkpoints.adapter_files import AdapterFiles
from lmkernel.checkpoints.directory import open_model
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("changes", "scale"),
    [
        ({}, 4.0),
        ({"use_rslora": True}, 8 / np.sqrt(2)),
        ({"alpha_pattern": {"q_proj": 6}}, 3.0),
        ({"alpha_pattern": {"k_proj": 6}}, 4.0),
        ({"alpha_pattern": {MODULE: 2}}, 1.0),
        ({"rank_pattern": {"self_attn.q_proj": 2}, "r": 16}, 4.0),
        ({"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 1}, "r": 16}, 0.5),
        ({"rank_pattern": None, "alpha_pattern": None}, 4.0),
        ({"lora_alpha": 0}, 0.0),
    ],
)
def test_the_scale_is_that_of_the_module(
    tmp_path: Path, changes: dict[str, Any], scale: float
) -> None:
    a, b = foreign(tmp_path, **changes)
    before = open_model(tmp_path / "base").tensors.read(f"{MODULE}.weight")
    got = open_model(tmp_path).tensors.read(f"{MODULE}.weight")
    np.testing.assert_allclose(got, before + scale * (b @ a), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("^model.layers.0.self_attn.q_proj", True),
        ("(q|v)_proj", True),
        (r"model\.layers\.0\..*q_proj", True),
        (r"layers\.\d+\.self_attn\.[qk]_proj", True),
        ("(?:.*)_proj", True),
        (".*", True),
        ("proj", False),  # a part of a name between dots is matched whole
        ("q_pro", False),
        ("^self_attn.q_proj", False),
        ("*_proj", None),  # a shell's pattern is no expression
    ],
)
@pytest.mark.parametrize("table", ["alpha_pattern", "rank_pattern"])
def test_b40_patterns_are_the_expressions_that_peft_takes_them_for(
    tmp_path: Path, table: str, pattern: str, fits: bool | None
) -> None:
    said = {"alpha_pattern": {pattern: 64}} if table == "alpha_pattern" else {}
    if table == "rank_pattern":
        said = {"rank_pattern": {pattern: 2}, "r": 2 if fits is False else 16, "lora_alpha": 64}
    a, b = foreign(tmp_path, **said)
    if fits is None:
        with pytest.raises(CheckpointError, match=f"{table}: expected regular expressions"):
            open_model(tmp_path)
        return
    before = open_model(tmp_path / "base").tensors.read(f"{MODULE}.weight")
    got = open_model(tmp_path).tensors.read(f"{MODULE}.weight")
    scale = 32 if fits or table == "rank_pattern" else 4
    np.testing.assert_allclose(got, before + scale * (b @ a), rtol=1e-4, atol=1e-4)


def test_adapters_and_checkpoint_may_name_weights_with_and_without_the_models_prefix(
    tmp_path: Path,
) -> None:
    a, b = foreign(tmp_path)
    before = open_model(tmp_path / "base").tensors.read(f"{MODULE}.weight")
    stem = "model.safetensors"
    tensors = load_file(tmp_path / "base" / stem)
    save_file({n.removeprefix("model."): x for n, x in tensors.items()}, tmp_path / "base" / stem)
    got = open_model(tmp_path).tensors.read(f"{MODULE.removeprefix('model.')}.weight")
    np.testing.assert_allclose(got, before + 4 * (b @ a), rtol=1e-4, atol=1e-5)


def test_other_tensors_are_the_models(tmp_path: Path) -> None:
    foreign(tmp_path)
    base, adapted = open_model(tmp_path / "base").tensors, open_model(tmp_path).tensors
    assert adapted.names() == base.names()
    name = "model.layers.1.self_attn.q_proj.weight"
    np.testing.assert_array_equal(adapted.read(name), base.read(name))
    assert adapted.dtype(f"{MODULE}.weight") == "float32"
    assert adapted.shape(f"{MODULE}.weight") == (48, 24)


def _renamed(path: Path) -> None:
    tensors = load_file(path)
    save_file({n.replace("q_proj", "x_proj"): x for n, x in tensors.items()}, path)


def _halved(path: Path) -> None:
    save_file({n: x for n, x in load_file(path).items() if "lora_A" in n}, path)


def _turned(path: Path) -> None:
    save_file({n: np.ascontiguousarray(x.T) for n, x in load_file(path).items()}, path)


def _with_more(path: Path) -> None:
    more = {"base_model.model.score.weight": np.zeros((2, 24), np.float32)}
    save_file({**load_file(path), **more}, path)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (_renamed, "target_modules: expected what names 'model.layers.0.self_attn.x_proj'"),
        (_halved, "is no half of a pair"),
        (_turned, r"expected lora_A \(rank, in\) and lora_B \(out, rank\), got \(24, 2\)"),
        (_with_more, "'base_model.model.score.weight' is no half"),
        (_cut, "adapter_model.safetensors"),
        (lambda path: path.unlink(), "adapter_model.safetensors"),
    ],
)
def test_damaged_or_foreign_adapters_are_refused_by_name(
    tmp_path: Path, damage: Callable[[Path], None], complaint: str
) -> None:
    foreign(tmp_path)
    damage(tmp_path / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match=complaint):
        open_model(tmp_path)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"peft_type": "IA3"}, "peft_type: expected 'LORA', got 'IA3'"),
        ({"use_dora": True}, "expected plain LoRA adapters, got DoRA adapters, use_dora: True"),
        ({"layer_replication": [[0, 2]]}, r"got layer_replication: \[\[0, 2\]\]; merge them"),
        ({"init_lora_weights": "pissa_niter_4"}, "leaves the model as it is, got 'pissa_niter_4'"),
        ({"r": 3}, "q_proj': expected the rank 3, got 2"),
        ({"rank_pattern": {"q_proj": 1}}, "expected the rank 1, got 2"),
        ({"rank_pattern": []}, r"rank_pattern: expected an object, got \[\]"),
        ({"bias": "zzz"}, "bias: expected one of none, all, lora_only, got 'zzz'"),
        ({"base_model_name_or_path": None}, "base_model_name_or_path: expected a model's name"),
        ({"base_model_name_or_path": "nowhere"}, "nowhere: no such directory"),
    ],
)
def test_adapters_of_another_kind_or_of_no_model_are_refused(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    foreign(tmp_path, **changes)
    with pytest.raises(CheckpointError, match=complaint):
        open_model(tmp_path)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"r": 0}, "r: expected a rank of 1 or more, got 0"),
        ({"r": True}, "r: expected a finite number, got True"),
        ({"rank_pattern": {"q_proj": -1}}, "r: expected a rank of 1 or more, got -1"),
        ({"rank_pattern": ["q_proj"]}, "rank_pattern: expected an object, got"),
        ({"alpha_pattern": [1]}, "alpha_pattern: expected an object, got"),
        ({"alpha_pattern": {"q_proj": "8"}}, "alpha_pattern: expected a finite number, got '8'"),
        ({"alpha_pattern": {"(q": 8}}, "alpha_pattern: expected regular expressions"),
        ({"alpha_pattern": {"(.*a)*b": 8}}, "alpha_pattern: expected expressions with few"),
        ({"alpha_pattern": {".*.*.*.*b": 8}}, "alpha_pattern: expected expressions with few"),
        ({"alpha_pattern": {".?" * 200 + "b": 8}}, "alpha_pattern: expected expressions with few"),
        ({"rank_pattern": {"(.|.)" * 90: 8}}, "rank_pattern: expected expressions with few"),
        ({"lora_alpha": float("nan")}, "lora_alpha: expected a finite number, got nan"),
        ({"lora_alpha": float("inf")}, "lora_alpha: expected a finite number, got inf"),
        ({"lora_alpha": 10**400}, "expected a JSON object, got a number of 401 digits"),
        ({"fan_in_fan_out": "false"}, "fan_in_fan_out: expected true or false, got 'false'"),
        ({"use_rslora": 1}, "use_rslora: expected true or false, got 1"),
    ],
)
def test_m7_a_key_that_makes_no_sense_is_named(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    foreign(tmp_path, **changes)
    with pytest.raises(CheckpointError, match=rf"adapter_config\.json: {complaint}"):
        open_model(tmp_path)


@pytest.mark.parametrize("alpha", [1e308, -1e300, 1e39])
def test_m7_a_product_that_is_not_finite_is_refused(tmp_path: Path, alpha: float) -> None:
    foreign(tmp_path, lora_alpha=alpha)
    with pytest.raises(
        CheckpointError, match=r"q_proj': expected adapters whose product is finite"
    ):
        open_model(tmp_path).tensors.read(f"{MODULE}.weight")


@pytest.mark.parametrize("shapes", [((2, 24), (48, 3)), ((24,), (48, 2)), ((2, 24, 1), (48, 2))])
def test_m7_tensors_of_unequal_or_other_ranks_are_named(
    tmp_path: Path, shapes: tuple[tuple[int, ...], ...]
) -> None:
    foreign(tmp_path)
    names = (f"base_model.model.{MODULE}.lora_{half}.weight" for half in "AB")
    tensors = {n: np.ones(s, np.float32) for n, s in zip(names, shapes, strict=True)}
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match=r"q_proj': expected lora_A \(rank, in\) and lora_B"):
        open_model(tmp_path)


@pytest.mark.parametrize("loop", [1, 2, 3])
def test_m7_adapters_that_lead_back_to_themselves_are_refused(tmp_path: Path, loop: int) -> None:
    folders = [tmp_path / str(n) for n in range(loop)]
    for number, folder in enumerate(folders):
        folder.mkdir()
        foreign(folder, base_model_name_or_path=str(folders[(number + 1) % loop]))
    with pytest.raises(CheckpointError, match="base_model_name_or_path: expected the model that"):
        open_model(tmp_path / "0")


def test_m7_the_folder_is_looked_at_before_its_model_is_looked_for(tmp_path: Path) -> None:
    foreign(tmp_path, base_model_name_or_path="hf:org/name", r=0)
    with pytest.raises(CheckpointError, match="r: expected a rank"):
        open_model(tmp_path, lambda name: pytest.fail(f"asked for {name}"))


def test_adapters_in_a_pickle_are_refused_as_one(tmp_path: Path) -> None:
    foreign(tmp_path)
    (tmp_path / "adapter_model.safetensors").rename(tmp_path / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="a pickle checkpoint can run any code"):
        open_model(tmp_path)


def test_b41_a_config_beside_adapters_leaves_them_adapters(tmp_path: Path) -> None:
    a, b = foreign(tmp_path)
    before = open_model(tmp_path / "base").tensors.read(f"{MODULE}.weight")
    (tmp_path / "config.json").write_text((tmp_path / "base" / "config.json").read_text())
    got = open_model(tmp_path).tensors.read(f"{MODULE}.weight")
    np.testing.assert_allclose(got, before + 4 * (b @ a), rtol=1e-4, atol=1e-5)


def test_a_whole_model_beside_the_description_of_adapters_is_a_model(tmp_path: Path) -> None:
    foreign(tmp_path)
    (tmp_path / "adapter_model.safetensors").unlink()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "base" / name).rename(tmp_path / name)
    assert open_model(tmp_path).tensors.names()


def test_b42_the_folders_own_tokenizer_template_and_options_go_first(tmp_path: Path) -> None:
    foreign(tmp_path)
    letters("theirs").save(tmp_path / "base")
    (tmp_path / "base" / "generation_config.json").write_text('{"eos_token_id": 3}')
    assert open_model(tmp_path).tokenizer().chat_template == "theirs"
    (tmp_path / "chat_template.jinja").write_text("own")
    assert open_model(tmp_path).tokenizer().chat_template == "own"
    letters("whole").save(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    assert open_model(tmp_path).tokenizer().chat_template == "whole"
    assert open_model(tmp_path).generation_config == {"eos_token_id": 3}
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": 4}')
    assert open_model(tmp_path).generation_config == {"eos_token_id": 4}


def test_a_scale_that_is_missing_is_named(tmp_path: Path) -> None:
    foreign(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    del config["lora_alpha"]
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(
        CheckpointError, match=r"_config\.json: lora_alpha: expected a finite number, got None"
    ):
        AdaptedTensors(open_model(tmp_path / "base").tensors, AdapterFiles(tmp_path))
