"""A model written with few bits: its folder, its answers, and what is said of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from gguf_samples import write_gguf

import lmkernel
from lmkernel.checkpoints.safetensors import SafetensorsFile
from lmkernel.cli.main import main
from lmkernel.errors import CheckpointError, InputError
from lmkernel.parameters.quantising import fitting, quantise, unpacked_codes

if TYPE_CHECKING:
    from pathlib import Path

IDS = [5, 17, 200, 3, 61]
NAME = "model.layers.1.mlp.down_proj"


@pytest.mark.parametrize("weights", ["int4", "int8", "int4,group=row"])
def test_a_folder_holds_what_was_quantised(tmp_path: Path, weights: str) -> None:
    source = write_gguf(tmp_path / "x.gguf")
    made = lmkernel.quantize(source, tmp_path / "out", weights=weights, progress=False)
    plain = lmkernel.load(source, backend="numpy", progress=False)
    few = lmkernel.load(made, backend="numpy", progress=False, weights="stored")
    scheme = fitting(weights)
    value = plain.parameters()["decoder.layers.1.mlp.down.weight"]
    blocks, error = quantise(value, scheme, NAME)
    assert made.errors[f"{NAME}.weight"] == error
    assert len(made.errors) == 2 * 7
    codes = unpacked_codes(blocks, scheme.bits).astype(np.float32) - (1 << (scheme.bits - 1))
    assert blocks.scales is not None
    expected = codes.reshape(*blocks.scales.shape, -1) * blocks.scales[..., None]
    found = few.parameters()["decoder.layers.1.mlp.down.weight"]
    np.testing.assert_array_equal(found, expected.reshape(value.shape))
    table = "embedding.tokens.weight"
    np.testing.assert_array_equal(few.parameters()[table], plain.parameters()[table])
    assert few.holding is not None
    assert few.holding.kinds == {f"int{scheme.bits}"}
    numbers = lmkernel.load(made, backend="numpy", progress=False)
    expected = numbers.logits(IDS)
    # compiled products of few bits, where Numba is installed, sum in another order
    np.testing.assert_allclose(few.logits(IDS), expected, rtol=0, atol=2e-5 * abs(expected).max())


def test_the_configuration_says_how(tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "x.gguf")
    made = lmkernel.quantize(source, tmp_path / "out", dtype="bfloat16", progress=False)
    said = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert said["format"] == "pack-quantized"
    assert said["config_groups"]["group_0"]["weights"]["group_size"] == 32
    assert "lm_head" in said["ignore"]
    file = SafetensorsFile(tmp_path / "out" / "model.safetensors")
    assert file.dtype(f"{NAME}.weight_packed") == "int32"
    assert file.dtype(f"{NAME}.weight_scale") == file.dtype("model.norm.weight") == "bfloat16"
    assert made.sizes[1] == (tmp_path / "out" / "model.safetensors").stat().st_size
    assert made.perplexities == ()


def test_perplexity_before_and_after(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, text = write_gguf(tmp_path / "x.gguf"), tmp_path / "text"
    text.write_text("hell he ll, " * 60)
    options = ["--text", str(text), "--tokens", "300", "--backend", "numpy", "--weights", "int8"]
    assert main(["quantize", str(source), str(tmp_path / "out"), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["BEFORE", "AFTER"]
    before, after = (float(x) for x in lines[2].split()[1:])
    assert 0 < abs(before - after) < before / 5
    assert lines[-1] == "perplexity of 297 tokens"  # in three windows, whose first follow nothing
    model = lmkernel.load(source, backend="numpy", progress=False)
    ids = model.token_ids(text.read_text())[:300]
    parts = [model.log_probs(ids[at : at + 128]).values for at in (0, 128, 256)]
    assert before == pytest.approx(np.exp(-np.concatenate(parts).mean()), rel=1e-3)


def test_a_model_without_linear_layers_of_transformers_is_told_what_there_is(
    tmp_path: Path,
) -> None:
    config = {"model_type": "gpt2", "vocab_size": 64, "n_positions": 16, "n_embd": 8}
    config |= {"n_layer": 1, "n_head": 2, "bos_token_id": 0, "eos_token_id": 1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    lmkernel.twin(tmp_path, tmp_path / "twin")
    with pytest.raises(InputError, match="found none in a gpt2 model; `load` and --weights hold"):
        lmkernel.quantize(tmp_path / "twin", tmp_path / "out", progress=False)


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "x.gguf")
    with pytest.raises(InputError, match="that transformers opens, got 'int4,asymmetric'"):
        lmkernel.quantize(source, tmp_path / "out", weights="int4,asymmetric")
    with pytest.raises(InputError, match="multiple of the group, 128, got 64"):
        lmkernel.quantize(source, tmp_path / "out", weights="int4,group=128", progress=False)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(CheckpointError, match="out"):
        lmkernel.quantize(source, tmp_path / "out", progress=False)
    assert [x.name for x in (tmp_path / "out").iterdir()] == ["mine"]
