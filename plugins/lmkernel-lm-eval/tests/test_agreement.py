"""Three tasks on five backends have the scores of NumPy in float64, and those of transformers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from inspected import loaded
from lm_eval.models.huggingface import HFLM
from lmkernel_lm_eval.agreement import (
    Agreement,
    Outcome,
    agreement_of,
    evaluate,
    likelihood_budget,
)
from lmkernel_lm_eval.tasks import own_tasks
from small import HF_CONFIG
from vocabulary_samples import byte_level

from lmkernel.tokenizers import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

BACKENDS = ("numpy", "torch", "tensorflow", "jax", "mlx")
CONFIG = {**HF_CONFIG, "vocab_size": 340, "max_position_embeddings": 80, "eos_token_id": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "tiny"
    special = {
        "eos_token": "<|endoftext|>",
        "bos_token": "<|endoftext|>",
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    loaded(made, CONFIG, Tokenizer(byte_level(), special))
    return made


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Agreement]:
    return {one.task: one for one in agreement_of(str(folder), BACKENDS)}


TASKS = [task["task"] for task in own_tasks()]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_has_the_scores_of_float64(
    found: dict[str, Agreement], task: str, backend: str
) -> None:
    own, reference = found[task].outcomes[backend], found[task].reference
    assert own.distance(reference) <= found[task].budget
    if task == "lmkernel_prose":  # a number that is no count, as near as its log-likelihoods
        assert own.scores == pytest.approx(reference.scores, rel=found[task].budget)
    else:
        assert own.scores == reference.scores


@pytest.mark.parametrize("task", own_tasks(), ids=TASKS)
def test_transformers_has_the_same_scores(
    found: dict[str, Agreement], task: dict[str, str], folder: Path
) -> None:
    """By the harness's own model, which computes with another library."""
    theirs = HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=2)
    own, name = found[task["task"]], task["task"]
    other = evaluate(theirs, [task])[name]
    assert other.distance(own.reference) <= own.budget
    if name == "lmkernel_prose":
        assert other.scores == pytest.approx(own.reference.scores, rel=own.budget)
    else:
        assert other.scores == own.reference.scores


def test_the_table_says_what_rounding_may_change(found: dict[str, Agreement]) -> None:
    text = found["lmkernel_facts"].text()
    assert all(backend in text for backend in BACKENDS)
    assert "24 items" in text
    assert "0 of them lie nearer to a tie" in text


def test_near_ties_are_counted() -> None:
    reference = Outcome({"acc": 1.0}, [[-1.0, -2.0], [-1.0, -1.001, -3.0], [-5.0, -5.0]])
    assert [reference.near_ties(budget) for budget in (0.0, 0.001, 0.6)] == [1, 2, 3]
    honest = Outcome({"acc": 1.0}, [[-1.0, -2.001], [-1.0, -1.001, -3.0], [-5.0, -5.0]])
    assert likelihood_budget(honest, reference) == pytest.approx(0.004, rel=1e-2)
