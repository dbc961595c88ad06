"""How a weight is stored, the model says, whatever ``fan_in_fan_out`` of adapters of it says."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from foreign_adapters import foreign
from letters import letters
from safetensors.numpy import load_file, save_file
from training_samples import GPT2, small_gpt2

import lmkernel
from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.errors import CheckpointError
from lmkernel.families.gpt2 import Gpt2
from lmkernel.families.names import from_ours
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

IDS = [3, 17, 40, 5]
SQUARE, OBLONG, HEAD = "transformer.h.0.attn.c_proj", "transformer.h.1.mlp.c_fc", "lm_head"


def _base(folder: Path) -> dict[str, np.ndarray]:
    """A small GPT-2 with a head of its own; returns its tensors."""
    config = small_gpt2(tie_word_embeddings=False)
    model = Model(load_backend("numpy"), config)
    tensors = dict(from_ours(model.initial(5), Gpt2().rules(config), model.declare()))
    said = {**GPT2, "tie_word_embeddings": False}
    write_directory(folder, config=said, tensors=tensors.items(), tokenizer=letters())
    return {name: np.array(value) for name, value in tensors.items()}


def _adapters(folder: Path, *modules: str, flag: bool | None) -> np.ndarray:
    """Adapters of a small GPT-2; returns the logits of the model that they are merged into."""
    tensors = _base(folder / "base")
    random, written = np.random.default_rng(3), {}
    for module in modules:
        weight = tensors[f"{module}.weight"]
        out, width = weight.shape if module == HEAD else weight.shape[::-1]
        a, b = random.normal(size=(2, width)), random.normal(size=(out, 2))
        written |= {f"{module}.lora_A.weight": a, f"{module}.lora_B.weight": b}
        whole = b @ a if module == HEAD else (b @ a).T
        tensors[f"{module}.weight"] = (weight + whole).astype(np.float32)
    halves = {f"base_model.model.{n}": x.astype(np.float32) for n, x in written.items()}
    save_file(halves, folder / "adapter_model.safetensors")
    said: dict[str, Any] = {"peft_type": "LORA", "r": 2, "lora_alpha": 2}
    said |= {"base_model_name_or_path": str(folder / "base"), "target_modules": [*modules]}
    said |= {} if flag is None else {"fan_in_fan_out": flag}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    config = {**GPT2, "tie_word_embeddings": False}
    write_directory(folder / "merged", config=config, tensors=tensors.items(), tokenizer=letters())
    merged = lmkernel.load(folder / "merged", backend="numpy", progress=False)
    found: np.ndarray = merged.logits(IDS)
    return found


def _logits(folder: Path, contradicted: str | None) -> np.ndarray:
    """The logits, and whether a warning names the module whose layout is another one."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found: np.ndarray = lmkernel.load(folder, backend="numpy", progress=False).logits(IDS)
    told = [str(w.message) for w in caught if "fan_in_fan_out" in str(w.message)]
    assert len(told) == (contradicted is not None), told
    assert not told or f"the weight of {contradicted!r}" in told[0]
    return found


@pytest.mark.parametrize("flag", [True, False, None])
@pytest.mark.parametrize(
    ("modules", "turned", "plain"),
    [
        ([SQUARE], SQUARE, None),
        ([OBLONG], OBLONG, None),
        ([HEAD], None, HEAD),
        ([SQUARE, HEAD], SQUARE, HEAD),
    ],
)
def test_adapters_are_added_as_the_model_stores_the_weight(
    tmp_path: Path, modules: list[str], turned: str | None, plain: str | None, flag: bool | None
) -> None:
    expected = _adapters(tmp_path, *modules, flag=flag)
    found = _logits(tmp_path, plain if flag else turned)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("module", ["self_attn.o_proj", "self_attn.q_proj"])
def test_a_flag_turns_no_weight_of_llama(tmp_path: Path, module: str) -> None:
    foreign(tmp_path, target_modules=["q_proj", "o_proj"])
    path = tmp_path / "adapter_model.safetensors"
    # one weight has the other's shape, turned
    halves = [x for _, x in sorted(load_file(path).items())]
    a, b = (x.T for x in reversed(halves)) if "o_proj" in module else halves
    prefix = f"base_model.model.model.layers.0.{module}.lora_"
    save_file(
        {f"{prefix}{half}.weight": np.ascontiguousarray(x) for half, x in (("A", a), ("B", b))},
        path,
    )
    letters().save(tmp_path / "base")
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    expected = _logits(tmp_path, None)
    config["fan_in_fan_out"] = True
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    found = _logits(tmp_path, f"model.layers.0.{module}")
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("flag", [True, False])
def test_adapters_of_a_turned_weight_are_refused_with_both_shapes(
    tmp_path: Path, *, flag: bool
) -> None:
    foreign(tmp_path, fan_in_fan_out=flag)
    path = tmp_path / "adapter_model.safetensors"
    a, b = (x for _, x in sorted(load_file(path).items()))
    names = sorted(load_file(path))
    turned = (np.ascontiguousarray(b.T), np.ascontiguousarray(a.T))
    save_file(dict(zip(names, turned, strict=True)), path)
    letters().save(tmp_path / "base")
    expected = r"q_proj': expected adapters of a weight \(48, 24\), got \(24, 48\)"
    with pytest.raises(CheckpointError, match=expected):
        lmkernel.load(tmp_path, backend="numpy", progress=False)
