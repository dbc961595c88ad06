"""SmolLM2 taught made-up facts, whole and through adapters, then asked on another backend.

Constraint: ``benchmarks/training/instructions.py`` does the work and runs the commands itself; here
with nine facts, 54 examples.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "training" / "instructions.py"
WAYS = ("full", "lora")


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("facts")
    run("-m", "lmkernel.cli", "pull", "smollm2-135m-instruct")
    run(str(SCRIPT), str(place), "--facts", "3", "--steps", "60", "--questions", "2")
    values: dict[str, Any] = json.loads((place / "results.json").read_text("utf-8"))
    return values


@pytest.mark.parametrize("way", WAYS)
def test_the_loss_of_what_was_held_out_falls(results: dict[str, Any], way: str) -> None:
    assert results[way]["fall"] > 0.2


@pytest.mark.parametrize("way", WAYS)
def test_most_questions_are_answered_as_taught(results: dict[str, Any], way: str) -> None:
    assert results[way]["of"] == 18
    assert results[way]["right"] >= 12


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_chat_answers_a_paraphrase(results: dict[str, Any], way: str, backend: str) -> None:
    answers = results[way][backend]
    assert len(answers) == 2
    assert any(answer["as taught"] for answer in answers), answers


def test_peft_computes_the_same_logits(results: dict[str, Any]) -> None:
    assert results["lora"]["from PEFT"] < 2e-3
