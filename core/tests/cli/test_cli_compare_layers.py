"""``compare --layers``: a backend from outside that is wrong is named with the place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from letters import letters
from own_backends import Own, install
from small import small_config, write_small

from lmkernel.backend import load_backend
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

WRONG = """
def overrides(parts):
    from lmkernel.composed import assemble

    right = assemble(parts.mandatory, parts.overrides).attention

    def wrong(q, k, v, mask, **options):
        return right(q, k, v, mask, **options) * 1.0003

    return {"attention": wrong}
"""
BOTH = ("--backends", "honest_backend,wrong_backend")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models") / "small"
    write_small(place, Model(load_backend(), small_config()), letters())
    return place


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, beside a wrong and an honest backend of this test's own."""
    install(place, "wrong_backend", Own(source=WRONG))
    install(place, "honest_backend", Own())
    paths = [str(place), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-m", "lmkernel.cli", "compare", *arguments, "--layers"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_table_and_sentence_name_the_place(folder: Path, tmp_path: Path) -> None:
    done = run(tmp_path, str(folder), "--prompt", "Hi", *BOTH)
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done
    assert lines[0].split() == ["ACTIVATION", "HONEST", "HONEST_BACKEND", "WRONG_BACKEND"]
    assert [line.partition("  ")[0] for line in lines[1:4]] == [
        "embedding",
        "layer 0 (attention)",
        "layer 0 (feed-forward)",
    ]
    assert lines[-1].startswith(
        "honest_backend and wrong_backend part at layer 0 (attention): wrong_backend is off by "
    )


def test_json_holds_the_same(folder: Path, tmp_path: Path) -> None:
    done = run(tmp_path, str(folder), *BOTH, "--prompt", "Hi", "--json")
    result = json.loads(done.stdout)
    assert result["parts_at"] == {"honest_backend": None, "wrong_backend": "layer 0 (attention)"}
    assert len(result["prompt_tokens"]) == 1
    assert len(result["activations"]) == 7
    assert result["activations"][1]["backends"]["wrong_backend"]["share"] > 1
    assert len(result["sentences"]) == 1


def test_backends_that_agree_are_said_to(folder: Path, tmp_path: Path) -> None:
    done = run(tmp_path, str(folder), "--backends", "numpy,honest_backend", "--prompt", "Hi")
    assert done.returncode == 0, done
    last = done.stdout.splitlines()[-1]
    assert last.startswith("no layer parts; the largest share of the budget is ")
