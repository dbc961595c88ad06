"""A model in several GGUF files is read from any of them, and no part is missed in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from gguf_samples import weights, write_gguf

from lmkernel import load
from lmkernel.checkpoints import open_model
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

IDS = [[1, 2, 3, 4]]
COUNT = 3


def write_parts(folder: Path, **change: Any) -> list[Path]:
    """A model in three parts, of which the second has changed metadata."""
    everything = list(weights().items())
    cut = len(everything) // COUNT
    shares = [everything[:cut], everything[cut : 2 * cut], everything[2 * cut :]]
    total = {"split.tensors.count": len(everything)}
    return [
        write_gguf(
            folder / f"x-{number + 1:05d}-of-{COUNT:05d}.gguf",
            tensors=dict(share),
            change={
                "split.no": number,
                "split.count": COUNT,
                **total,
                **(
                    {name.replace("_", "."): x for name, x in change.items()} if number == 1 else {}
                ),
            },
        )
        for number, share in enumerate(shares)
    ]


@pytest.mark.parametrize("number", range(COUNT))
def test_b31_all_parts_are_read_from_any(tmp_path: Path, number: int) -> None:
    whole = load(write_gguf(tmp_path / "whole.gguf")).logits(IDS)
    parts = write_parts(tmp_path)
    np.testing.assert_array_equal(load(parts[number]).logits(IDS), whole)


@pytest.mark.parametrize("missing", range(COUNT))
def test_b31_a_missing_part_is_named(tmp_path: Path, missing: int) -> None:
    parts = write_parts(tmp_path)
    parts[missing].unlink()
    there = parts[(missing + 1) % COUNT]
    with pytest.raises(
        CheckpointError, match=f"part {missing + 1} of 3 is missing: .*{missing + 1}"
    ):
        open_model(there)


def test_b31_a_part_of_another_name_is_refused(tmp_path: Path) -> None:
    parts = write_parts(tmp_path)
    renamed = parts[0].rename(tmp_path / "model.gguf")
    with pytest.raises(CheckpointError, match=r"split.count: expected one, in a file that is not"):
        open_model(renamed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split_no": 2}, "split.no: expected 1, got 2"),
        ({"split_count": 2}, "split.count: expected 3, got 2"),
    ],
)
def test_b31_a_part_of_another_model_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    parts = write_parts(tmp_path, **change)
    with pytest.raises(CheckpointError, match=rf"x-00002-of-00003.gguf: {message}"):
        open_model(parts[0])


def test_b31_a_tensor_in_two_parts_is_refused(tmp_path: Path) -> None:
    parts = write_parts(tmp_path)
    change = {"split.no": 1, "split.count": COUNT}
    write_gguf(parts[1], tensors={"token_embd.weight": np.ones((2, 2), np.float32)}, change=change)
    with pytest.raises(
        CheckpointError, match=r"'token_embd.weight' is in x-00001-of-00003.gguf too"
    ):
        open_model(parts[0])


def test_b31_a_part_with_fewer_tensors_is_refused(tmp_path: Path) -> None:
    parts = write_parts(tmp_path)
    change = {"split.no": 1, "split.count": COUNT}
    write_gguf(parts[1], tensors={"blk.0.x": np.ones((2, 2), np.float32)}, change=change)
    with pytest.raises(CheckpointError, match=r"split.tensors.count: expected \d+, as many as"):
        open_model(parts[0])
