"""Encoder-decoders: rows have a target, and answers are the target's."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import lmkernel as lk
from lmkernel.backend import load_backend
from lmkernel.config import ModelConfig, NormConfig
from lmkernel.errors import SubjectError
from lmkernel.inspection.run import activations
from lmkernel.model import Model
from lmkernel.origin import open_origin
from lmkernel.verification.sequences import Question, Row
from lmkernel.verification.structure import change_every
from lmkernel.verification.verb import write_prompts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T5 = {
    "model_type": "t5",
    "vocab_size": 101,
    "d_model": 48,
    "d_kv": 12,
    "d_ff": 80,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 9,
    "layer_norm_epsilon": 1e-4,
    "pad_token_id": 1,
}


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequences")
    (folder / "config.json").write_text(json.dumps(T5))
    return lk.twin(folder / "config.json", folder / "twin").path


def verify(twin: Path, subject: Any, **options: Any) -> Any:
    return lk.verify(twin, subject=subject, level="quick", progress=False, **options)


def port(checkpoint: Path, change: Callable[[ModelConfig], ModelConfig]) -> Any:
    """A function with activations, of a model with another configuration."""
    origin = open_origin(checkpoint)
    model = Model(load_backend("numpy"), change(origin.config))
    params = model.pack(origin.weights(model.declare()))

    def run(ids: Any, positions: Any, target: Any) -> dict[str, Any]:
        with model.backend:
            ops = model.backend.ops
            host = (x.astype(np.int32) for x in (ids, positions, target))
            given, where, fed = (ops.asarray(x, "int32") for x in host)
            made = activations(model, params, given, positions=where, target=fed)
            return {a.name: a.value for a in made}

    return run


def test_a_backend_is_right_in_every_layout(twin: Path) -> None:
    found = verify(twin, "numpy")
    assert found.passed, found
    asked = {q["name"] for q in found.document["questions"] if q["asked"]}
    assert asked == {
        "tokens",
        "short",
        "long",
        "padded on the right",
        "one by one",
        "one by one, far",
    }
    places = {p["activation"] for p in found.document["places"]}
    assert {"encoder layer 1 (attention)", "encoder final norm"} <= places
    assert {"decoder embedding", "decoder layer 1 (cross-attention)", "logits"} <= places


def test_a_defect_is_found_in_the_encoder_and_named(twin: Path) -> None:
    def off(config: ModelConfig) -> ModelConfig:
        return change_every(config, NormConfig, lambda norm: replace(norm, eps=1e-6))

    found = verify(twin, port(twin, off))
    assert found.parts_at == "encoder layer 0 (attention)", found
    assert found.diagnoses[:1] == ("norm.eps",), found


def test_a_decoder_alone_may_be_wrong(twin: Path) -> None:
    def unscaled(config: ModelConfig) -> ModelConfig:
        assert config.head is not None
        return replace(config, head=replace(config.head, scale=1.0))

    found = verify(twin, port(twin, unscaled))
    assert (found.parts_at, found.diagnoses[:1]) == ("logits", ("head.scale",)), found


def test_a_subject_without_targets_cannot_be_asked(twin: Path) -> None:
    with pytest.raises(SubjectError, match="every question of this model needs target"):
        verify(twin, lambda ids: ids)


def test_rows_of_a_file_have_targets_and_no_padding(twin: Path, tmp_path: Path) -> None:
    write_prompts(twin, tmp_path / "rows.jsonl", level="quick")
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert all(row["target"] for row in rows)
    assert all(len(row["target"]) != len(row["ids"]) for row in rows)
    assert not any(T5["pad_token_id"] in (*row["ids"], *row["target"]) for row in rows)


def test_targets_are_padded_on_the_right() -> None:
    rows = Row("a", (1, 2, 3), target=(7,)), Row("b", (4,), target=(8, 9))
    question = Question("both", rows, "left", pad=5)
    assert question.ids.tolist() == [[1, 2, 3], [5, 5, 4]]
    assert question.target.tolist() == [[7, 5], [8, 9]]
    assert question.target_positions.tolist() == [[0, -1], [0, 1]]
    assert [question.answered_columns(i) for i in (0, 1)] == [slice(0, 1), slice(0, 2)]
    assert question.needs == {"batch", "left-padding", "target"}
