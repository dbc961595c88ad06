"""KerasHub beside the reference: a bug that `verify` found, and that nothing else is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import lmkernel as lk

if TYPE_CHECKING:
    from pathlib import Path

LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 100,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 61,
    "max_position_embeddings": 128,
    "rope_theta": 2e4,
    "tie_word_embeddings": False,
}


@pytest.mark.parametrize(("epsilon", "looks"), [(1e-6, None), (1e-5, "norm.eps")])
def test_an_epsilon_that_is_not_converted_is_named(
    epsilon: float, looks: str | None, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**LLAMA, "rms_norm_eps": epsilon}))
    twin = lk.twin(config, tmp_path / "twin").path
    values = json.loads((twin / "config.json").read_text())
    # KerasHub fails on a null, which transformers reads as a missing key
    given = {name: value for name, value in values.items() if value is not None}
    (twin / "config.json").write_text(json.dumps(given))
    found = lk.verify(twin, subject="keras-hub", level="quick", progress=False)
    assert found.passed == (looks is None), found
    assert found.diagnoses == ((looks,) if looks else ()), found
    said = found.document["subject"]["versions"]
    assert {"keras-hub", "keras", said["backend of Keras"]} <= said.keys()
