"""A server that hides everything but log-probabilities: what is seen through it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import completions_server
import numpy as np
import pytest
from completions_server import own_logits, serving

from lmkernel.errors import InputError, SubjectError

if TYPE_CHECKING:
    import ports

SERVE = f"{sys.executable} {Path(completions_server.__file__)} {{checkpoint}} {{port}}"


def test_an_honest_server_is_right(quick: Any, twins: dict[str, Path]) -> None:
    with serving(own_logits(twins["qwen2"])) as url:
        found = quick("qwen2", f"http:{url}")
    assert found.passed, found
    assert found.document["compared"] == "token_log_probs"
    assert found.document["metrics"]["ratio"] == pytest.approx(1, abs=1e-5)
    assert found.document["metrics"]["agreement"] is None


def test_a_defect_is_named_through_log_probabilities(
    quick: Any, twins: dict[str, Path], wrong: ports.Wrong
) -> None:
    import ports

    from lmkernel.origin import open_origin
    from lmkernel.verification.defects import candidates

    every = candidates(open_origin(twins["qwen2"]).config)
    wrong.variant = next(c for c in every if c.id == "attention.groups").variant

    def logits(ids: list[int]) -> Any:
        rows = np.array([ids])
        return ports.broken(rows, np.arange(len(ids))[None], twins["qwen2"])[0]

    with serving(logits) as url:
        found = quick("qwen2", f"http:{url}")
    assert found.diagnoses == ("attention.groups",)
    assert found.parts_at == "logits"


def test_a_server_that_is_started_here_is_asked_and_ended(quick: Any) -> None:
    asked = {"serve": SERVE, "model": "any"}
    with pytest.raises(SubjectError, match="refused"):
        quick("qwen2", "http:http://127.0.0.1:{port}", options={**asked, "serve": "true {port}"})
    found = quick("qwen2", "http:http://127.0.0.1:{port}", options={"serve": SERVE})
    assert found.passed, found
    assert found.document["subject"]["versions"] == {"model": "the model"}


@pytest.mark.parametrize(
    ("logits", "echo", "words"),
    [
        (lambda ids: np.zeros((len(ids), 61)), False, "does the server know echo"),
        (lambda ids: np.zeros((len(ids), 2)), True, "500 Internal Server Error: .*out of bounds"),
        (lambda ids: np.full((len(ids), 61), np.nan), True, "expected finite token_log_probs"),
    ],
)
def test_what_a_server_gets_wrong_is_said(logits: Any, echo: bool, words: str, quick: Any) -> None:
    with serving(logits, echo=echo) as url, pytest.raises(SubjectError, match=words):
        quick("qwen2", f"http:{url}")


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("http:localhost", InputError, "expected http:URL"),
        ("http:http://127.0.0.1:9", SubjectError, "refused"),
    ],
)
def test_a_server_that_is_not_there_is_said(
    name: str, error: type[Exception], words: str, quick: Any
) -> None:
    with pytest.raises(error, match=words):
        quick("qwen2", name)
