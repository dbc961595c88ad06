"""Models without a head: their last hidden vectors are compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import lmkernel as lk
from lmkernel.errors import SubjectError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module", params=[("qwen2", "Qwen2Model"), ("gpt2", "GPT2Model")])
def bare(
    request: pytest.FixtureRequest,
    twins: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A twin of a decoder that was saved without a head."""
    name, architecture = request.param
    folder = tmp_path_factory.mktemp(name)
    described = json.loads((twins[name] / "config.json").read_text())
    described |= {"architectures": [architecture], "tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(described))
    return lk.twin(folder / "config.json", folder / "twin").path


def verify(checkpoint: Path, subject: Any, **options: Any) -> Any:
    return lk.verify(checkpoint, subject=subject, level="quick", progress=False, **options)


def hidden(checkpoint: Path, factor: float = 1.0) -> Any:
    model = lk.load(checkpoint, backend="numpy")
    return lambda ids: {"hidden": np.array([model.hidden_states(ids[0])[-1]]) * factor}


def test_a_decoder_without_a_head_is_compared_by_its_hidden_vectors(bare: Path) -> None:
    found = verify(bare, "numpy")
    assert found.passed, found
    assert found.document["compared"] == "hidden"
    assert found.document["metrics"]["agreement"] is None
    ends = {p["activation"] for p in found.document["places"]}
    assert {"embedding", "final norm", "hidden vectors"} <= ends


def test_a_function_gives_hidden_vectors(bare: Path) -> None:
    assert verify(bare, hidden(bare)).passed
    found = verify(bare, hidden(bare, 1.0001), diagnosing=False)
    assert found.parts_at == "hidden vectors", found


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"logits": np.zeros((1, 24, 64))}, "expected hidden or vectors, as the model has no head"),
        ({"hidden": np.zeros((1, 24, 7))}, r"expected hidden of shape \(1, 24, 64\), got"),
        ({"hidden": np.zeros((1, 24, 99))}, r"expected hidden of shape \(1, 24, 64\), got"),
        ({"hidden": np.full((1, 24, 64), np.nan)}, "expected finite hidden, got nan at token 1 of"),
    ],
)
def test_what_is_no_hidden_vector_is_refused(bare: Path, values: Any, words: str) -> None:
    with pytest.raises(SubjectError, match=words):
        verify(bare, lambda ids: values if ids.size else {})


def test_a_head_of_which_nothing_is_given_is_said(twins: dict[str, Path]) -> None:
    found = verify(twins["qwen2"], hidden(twins["qwen2"]))
    assert found.passed, found
    [guard] = [g for g in found.document["guards"] if g["name"] == "head"]
    assert guard["text"].endswith("what the head makes of them is not compared")
