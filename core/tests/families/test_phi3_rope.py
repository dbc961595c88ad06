"""Which kinds of RoPE Phi-3 has: transformers' class knows two, and takes YaRN for one of them."""

from __future__ import annotations

from typing import Any

import pytest

from lmkernel.errors import CheckpointError
from lmkernel.families.family import HfConfig, find_family

SIZES = {
    "hidden_size": 48,
    "num_attention_heads": 6,
    "max_position_embeddings": 64,
    "original_max_position_embeddings": 32,
}
LISTS = {"short_factor": [1.0, 1.5, 1.0, 2.0], "long_factor": [2.0, 3.0, 4.0, 5.0]}


def rotary(table: dict[str, Any] | None, key: str = "rope_scaling") -> Any:
    config = find_family("phi3", "a test").read(HfConfig({**SIZES, key: table}, "config.json"))
    return config.embedding.rotary


@pytest.mark.parametrize("named", ["type", "rope_type"])
@pytest.mark.parametrize("key", ["rope_scaling", "rope_parameters"])
def test_yarn_is_longrope(key: str, named: str) -> None:
    expected = rotary({"rope_type": "longrope", **LISTS})
    assert expected.scaling == "longrope"
    assert rotary({named: "yarn", **LISTS}, key) == expected


@pytest.mark.parametrize("table", [None, {}, {"rope_type": "default"}, {"rope_theta": 10000.0}])
def test_none_is_none(table: dict[str, Any] | None) -> None:
    assert rotary(table).scaling == "none"


@pytest.mark.parametrize("named", ["type", "rope_type"])
@pytest.mark.parametrize("kind", ["linear", "dynamic", "llama3", "su"])
def test_others_are_refused_by_name(kind: str, named: str) -> None:
    numbers = {"factor": 2.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    expected = f"rope_scaling: {named}: expected one of default, longrope, yarn, got '{kind}'"
    with pytest.raises(CheckpointError, match=expected):
        rotary({named: kind, **numbers, **LISTS})


def test_yarn_needs_the_factors_of_longrope() -> None:
    with pytest.raises(CheckpointError, match="short_factor: expected a list of 4 numbers"):
        rotary({"rope_type": "yarn", "factor": 2.0})
