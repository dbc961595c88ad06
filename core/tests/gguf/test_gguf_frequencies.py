"""Scaled rotary frequencies in GGUF files: one factor, or one for each."""

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

FACTORS = np.array([1, 1, 1.5, 2, 3, 5, 8, 8], np.float32)
YARN = {"type": "yarn", "factor": 4.0, "original_context_length": 32}
EXTRAPOLATION = "llama.rope.scaling.yarn_ext_factor"


@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_b29_factors_of_frequencies_are_part_of_the_configuration(
    tmp_path: Path, factor: float
) -> None:
    path = write_gguf(
        tmp_path / "x.gguf",
        tensors=weights() | {"rope_freqs.weight": FACTORS},
        change={"llama.rope.scaling.factor": factor},
    )
    model = open_model(path)
    scaling = model.config["rope_scaling"]
    assert scaling["rope_type"] == "longrope"
    assert scaling["short_factor"] == scaling["long_factor"] == (FACTORS * factor).tolist()
    assert (scaling["attention_factor"], scaling["original_max_position_embeddings"]) == (1.0, 128)
    assert not any("rope" in name for name in model.tensors.names())
    rotary = load(path).config.embedding.rotary
    assert rotary is not None
    assert rotary.short_factors == rotary.long_factors == tuple((FACTORS * factor).tolist())


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (FACTORS[:4], r"expected the shape \(8,\), got \(4,\)"),
        (FACTORS * 0, "expected positive numbers, got 0.0"),
        (FACTORS * np.float32(np.nan), "expected positive numbers, got nan"),
    ],
)
def test_b29_factors_that_fit_no_head_are_refused(
    tmp_path: Path, factors: np.ndarray, message: str
) -> None:
    path = write_gguf(tmp_path / "x.gguf", tensors=weights() | {"rope_freqs.weight": factors})
    with pytest.raises(CheckpointError, match=rf"rope_freqs\.weight': {message}"):
        open_model(path)


@pytest.mark.parametrize(
    ("change", "factor"),
    [
        ({"llama.rope.scaling.factor": 4.0}, 4.0),
        ({"llama.rope.scale_linear": 2.0}, 2.0),
        ({"llama.rope.scaling.factor": 4.0, "llama.rope.scale_linear": 2.0}, 4.0),
        ({"llama.rope.scaling.factor": 4.0, "llama.rope.scaling.type": "none"}, None),
        ({"llama.rope.scaling.factor": 0.0}, None),
        ({"llama.rope.scaling.type": "linear"}, None),
        ({}, None),
    ],
)
def test_b28_a_factor_alone_scales_linearly(
    tmp_path: Path, change: dict[str, Any], factor: float | None
) -> None:
    config = open_model(write_gguf(tmp_path / "x.gguf", change=change)).config
    expected = None if factor is None else {"rope_type": "linear", "factor": factor}
    assert config["rope_scaling"] == expected


def test_b28_a_field_that_nobody_knows_is_named(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", change={"llama.attention.sliding_window": 7})
    with pytest.warns(UserWarning, match=r"no effect.*'llama\.attention\.sliding_window'"):
        open_model(path)


def test_a_ramp_and_a_factor_of_yarn_are_read(tmp_path: Path) -> None:
    own = {"yarn_ext_factor": 1.0, "yarn_beta_fast": 20.0, "yarn_attn_factor": 1.5, **YARN}
    change = {f"llama.rope.scaling.{name}": value for name, value in own.items()}
    config = open_model(write_gguf(tmp_path / "x.gguf", change=change)).config
    assert config["rope_scaling"] == {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 32,
        "beta_fast": 20.0,
        "attention_factor": 1.5,
    }


def test_b29_factors_beside_yarn_are_refused_and_not_dropped(tmp_path: Path) -> None:
    change = {f"llama.rope.scaling.{name}": x for name, x in YARN.items()}
    factors = weights() | {"rope_freqs.weight": FACTORS}
    path = write_gguf(tmp_path / "x.gguf", change=change, tensors=factors)
    with pytest.raises(CheckpointError, match=r"scaling\.type: expected .* rope_freqs\.weight"):
        open_model(path)


def test_yarn_that_extrapolates_in_part_is_refused(tmp_path: Path) -> None:
    change = {f"llama.rope.scaling.{name}": x for name, x in YARN.items()}
    path = write_gguf(tmp_path / "x.gguf", change={**change, EXTRAPOLATION: 0.5})
    with pytest.raises(CheckpointError, match=rf"{EXTRAPOLATION}: expected 1\.0, all .*, got 0\.5"):
        open_model(path)
