"""Vectors of sentences: pooled as the folder says, and beside those of a subject."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import lmkernel as lk
from lmkernel.backend import load_backend
from lmkernel.inspection.run import activations
from lmkernel.model import Model
from lmkernel.origin import open_origin

if TYPE_CHECKING:
    from pathlib import Path

MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {
        "idx": 2,
        "name": "2",
        "path": "2_Normalize",
        "type": "sentence_transformers.models.Normalize",
    },
]


@pytest.fixture
def encoder(twins: dict[str, Path], tmp_path: Path) -> Path:
    """A twin of BERT whose folder says that it pools the first token, and normalises."""
    folder = tmp_path / "encoder"
    shutil.copytree(twins["bert"], folder)
    (folder / "modules.json").write_text(json.dumps(MODULES))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    return folder


def vectors(checkpoint: Path, place: int, *, lengths: bool = True) -> Any:
    """A function that takes the hidden vector of one place as the sentence's."""
    origin = open_origin(checkpoint)
    model = Model(load_backend("numpy"), origin.config)
    params = model.pack(origin.weights(model.declare()))

    def run(ids: Any, positions: Any) -> dict[str, Any]:
        with model.backend:
            ops = model.backend.ops
            given, where = (ops.asarray(x.astype(np.int32), "int32") for x in (ids, positions))
            *_, last = (a for a in activations(model, params, given, positions=where) if a.layer)
        found = ops.to_numpy(last.value)[:, place]
        size = np.linalg.norm(found, axis=-1, keepdims=True) if lengths else 1
        return {"vectors": found / size}

    return run


def verify(checkpoint: Path, subject: Any) -> Any:
    return lk.verify(checkpoint, subject=subject, level="quick", progress=False, diagnosing=False)


def test_vectors_are_compared_in_place_of_logits(encoder: Path) -> None:
    found = verify(encoder, vectors(encoder, 0))
    assert found.passed, found
    assert found.document["compared"] == "vectors"
    assert {p["activation"] for p in found.document["places"]} == {"sentence vector"}


@pytest.mark.parametrize(("place", "lengths"), [(1, True), (0, False)])
def test_another_pooling_and_a_missing_normalisation_are_found(
    place: int, lengths: bool, encoder: Path
) -> None:
    found = verify(encoder, vectors(encoder, place, lengths=lengths))
    assert found.parts_at == "sentence vector", found
