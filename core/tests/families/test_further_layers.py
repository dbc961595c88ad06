"""Layers after the last, which predict further tokens, are passed over as far as they are named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from small_families import written

from lmkernel import load
from lmkernel.checkpoints.directory import open_model, write_directory
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

IDS = [[4, 8, 15, 16, 23, 42]]
OWN = ("enorm.weight", "hnorm.weight", "eh_proj.weight", "shared_head.norm.weight")


def with_further(folder: Path, *, layers: int = 1, bare: bool = False, **changes: Any) -> Path:
    """A small DeepSeek V3 of two layers, and layers after them in the published layout."""
    plain = open_model(written(folder / "plain", "deepseek_v3"))
    tensors = {name: plain.tensors.read(name) for name in plain.tensors.names()}
    last = {n: x for n, x in tensors.items() if n.startswith("model.layers.1.")}
    for number in range(2, 2 + layers):
        tensors |= {n.replace(".1.", f".{number}.", 1): x for n, x in last.items()}
        tensors |= {f"model.layers.{number}.{name}": np.ones(3, np.float32) for name in OWN}
    if bare:
        tensors = {name.removeprefix("model."): value for name, value in tensors.items()}
    config = {**plain.config, **changes}
    write_directory(folder / "whole", config=config, tensors=tensors.items())
    return folder / "whole"


@pytest.mark.parametrize(
    ("layers", "changes"),
    [
        (1, {"num_nextn_predict_layers": 1}),
        (1, {}),  # as the class of transformers has it by default
        (2, {"num_mtp_layers": 2}),
        (0, {"num_nextn_predict_layers": 1}),  # checkpoints of transformers say so without any
        (1, {"bare": True}),
    ],
)
def test_as_many_layers_as_are_named_are_passed_over(
    tmp_path: Path, layers: int, changes: dict[str, Any]
) -> None:
    whole = with_further(tmp_path, layers=layers, **changes)
    plain = load(tmp_path / "plain", backend="numpy").logits(IDS)
    np.testing.assert_array_equal(load(whole, backend="numpy").logits(IDS), plain)


@pytest.mark.parametrize(("layers", "said"), [(1, 0), (2, 1)])
def test_more_layers_than_that_are_refused(tmp_path: Path, layers: int, said: int) -> None:
    whole = with_further(tmp_path, layers=layers, num_nextn_predict_layers=said)
    with pytest.raises(CheckpointError, match=r"num_hidden_layers: expected . layers, for there"):
        load(whole, backend="numpy")


def adapted(folder: Path, base: Path, number: int = 1) -> Path:
    """Adapters of one layer's ``o_proj``, as PEFT writes them, listed for every layer."""
    module = f"model.layers.{number}.self_attn.o_proj"
    out, width = open_model(base).tensors.shape(f"{module}.weight")
    halves = {"A": np.ones((1, width), np.float32), "B": np.ones((out, 1), np.float32)}
    folder.mkdir()
    save_file(
        {f"base_model.model.{module}.lora_{half}.weight": x for half, x in halves.items()},
        folder / "adapter_model.safetensors",
    )
    said = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["o_proj"]}
    said |= {"base_model_name_or_path": str(base), "layers_to_transform": [1, 2]}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    return folder


def test_they_need_no_adapters(tmp_path: Path) -> None:
    """PEFT makes none, for transformers' class has no such layers."""
    folder = adapted(tmp_path / "adapters", with_further(tmp_path, num_nextn_predict_layers=1))
    load(folder, backend="numpy")
    other = adapted(tmp_path / "others", tmp_path / "whole", number=2)
    with pytest.warns(UserWarning, match=r"expected adapters of 'model\.layers\.1\.self_attn"):
        load(other, backend="numpy")


@pytest.mark.parametrize("key", ["num_nextn_predict_layers", "num_mtp_layers"])
def test_what_is_written_has_none_of_them(tmp_path: Path, key: str) -> None:
    load(with_further(tmp_path, **{key: 1}), backend="numpy").save(tmp_path / "b")
    again = load(tmp_path / "b", backend="numpy")
    assert again.origin.described.values[key] == 0
    assert not [n for n in open_model(tmp_path / "b").tensors.names() if ".layers.2." in n]
