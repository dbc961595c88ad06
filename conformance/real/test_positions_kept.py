"""Fixed positions in files that transformers made, and what it does with others: it uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from sequence_kinds import SEQUENCES

from lmkernel import load
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

TABLES = {"pegasus": "weight", "marian": "weight", "m2m 100": "weights"}


def made(name: str, folder: Path, dtype: str, context: int) -> Any:
    """A random model of transformers in a dtype, saved with its tables of positions."""
    torch.manual_seed(5)
    config, model, options = SEQUENCES[name]
    described = getattr(transformers, config)(**{**options, "max_position_embeddings": context})
    found: Any = getattr(transformers, model)(described).eval().to(getattr(torch, dtype))
    found.save_pretrained(folder)
    change(folder, lambda tables: tables, found, TABLES[name])
    return found


def change(folder: Path, how: Any, model: Any, leaf: str) -> None:
    """Write both tables into the file, as something makes them of those that the model has."""
    path = folder / "model.safetensors"
    tables = {
        f"model.{side}.embed_positions.{leaf}": how(
            getattr(getattr(model.model, side).embed_positions, leaf).detach().clone()
        )
        for side in ("encoder", "decoder")
    }
    save_file({**load_file(path), **tables}, path, {"format": "pt"})


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", TABLES)
def test_tables_of_transformers_are_taken(name: str, dtype: str, tmp_path: Path) -> None:
    made(name, tmp_path, dtype, 4096)
    assert load(tmp_path, backend="numpy").config.context == 4096


@pytest.mark.parametrize("name", TABLES)
def test_others_are_refused(name: str, tmp_path: Path) -> None:
    model = made(name, tmp_path, "float32", 64)
    change(tmp_path, lambda table: table * 0.9, model, TABLES[name])
    with pytest.raises(CheckpointError, match=r"embed_positions.*which are computed and not read"):
        load(tmp_path, backend="numpy")


@pytest.mark.parametrize("name", ["pegasus", "marian"])
def test_transformers_uses_what_the_file_holds(name: str, tmp_path: Path) -> None:
    """Why they are refused: the answers would be others than there."""
    model = made(name, tmp_path, "float32", 64)
    change(tmp_path, lambda table: table * 0.9, model, TABLES[name])
    again: Any = type(model).from_pretrained(tmp_path).eval()
    fed = {n: torch.tensor([[4, 8, 15]]) for n in ("input_ids", "decoder_input_ids")}
    with torch.inference_mode():
        assert (again(**fed).logits - model(**fed).logits).abs().max() > 1e-4
