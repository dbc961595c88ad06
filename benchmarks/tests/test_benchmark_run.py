"""The driver from end to end, on an interpreter that plays every contestant."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
import run

if TYPE_CHECKING:
    from pathlib import Path

FAKE = """#!{python}
import json, os, sys
program = sys.argv[1].rpartition("/")[2]
if program in ("hf_cold.py", "-m"):
    if program == "-m":
        kept = bytearray({ballast})
    print("The press.")
    raise SystemExit
task = json.loads(sys.argv[2])
with open({log!r}, "a") as log:
    log.write(program + " " + task["variant"] + "\\n")
if task["variant"] == {broken!r}:
    raise SystemExit("it broke")
if program.endswith("_train.py"):
    print(json.dumps({{
        "median": {{"step": 0.5 if program == "lmk_train.py" else 1.0, "first": task["steps"]}},
        "losses": [9.0, 8.0], "threads": 2, "versions": {{"library": "1.0"}},
    }}))
    raise SystemExit
if program == "serve.py":
    many = {{"lmkernel": 90.0, "server": 60.0}}[task["group"]]
    print(json.dumps({{
        "median": {{"one": 30.0, "many": many, "wait": 2.0}}, "texts": ["a", task["variant"]],
        "threads": 2, "versions": {{"library": "1.0"}},
    }}))
    raise SystemExit
speed = 100.0 if program == "lmk.py" else {{"loop": 60.0}}.get(task["variant"], 40.0)
rows = {{name: [[1, 2]] for name in task["metrics"]}}
print(json.dumps({{
    "median": {{name: speed for name in task["metrics"]}}, "tokens": rows,
    "threads": 2, "versions": {{"library": "1.0"}},
}}))
"""


class Harness:
    """Runs the driver with a fake interpreter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        (folder / "model").mkdir()

    def __call__(self, *options: str, broken: str = "", ballast: int = 0) -> int:
        fake = self.folder / "python"
        text = FAKE.format(python=sys.executable, log=str(self.log), broken=broken, ballast=ballast)
        fake.write_text(text)
        fake.chmod(0o755)
        pythons = [f"--python-{name}={fake}" for name in ("transformers", "keras", "lmkernel")]
        files = [f"--json={self.folder / 'r.json'}", f"--markdown={self.folder / 'r.md'}"]
        model = [] if "train" in options else [f"--model={self.folder / 'model'}"]
        return run.main([*options, *model, *pythons, *files])

    def turns(self) -> list[str]:
        return self.log.read_text().splitlines()

    def page(self) -> str:
        return (self.folder / "r.md").read_text()


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path)


def test_the_rounds_alternate(harness: Harness) -> None:
    harness("--only=torch", "--metrics=decode1", "--rounds=2", "--skip=transformers compiled")
    once = ["hf.py generate", "hf.py loop", "hf.py static", "lmk.py torch"]
    assert harness.turns() == [*once, *once]


def test_the_page_sets_the_ratio_beside_its_bar(harness: Harness) -> None:
    harness("--only=numpy,torch", "--metrics=decode1", "--rounds=1")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in harness.page().splitlines()
        if line.startswith("| decode, batch 1")
    ]
    assert [row[1:] for row in rows] == [
        ["numpy", "100.0", "transformers loop", "60.0", "1.67", "≥ 2", "below"],
        ["torch", "100.0", "transformers loop", "60.0", "1.67", "≥ 1.5", "ok"],
    ]


def test_a_missed_bar_fails_only_when_asked(harness: Harness) -> None:
    options = ("--only=numpy", "--metrics=decode1", "--rounds=1")
    assert (harness(*options), harness(*options, "--check")) == (0, 1)


def test_every_turn_is_kept_in_the_json(harness: Harness) -> None:
    harness("--only=jax", "--metrics=decode1,prefill", "--rounds=3")
    kept = json.loads((harness.folder / "r.json").read_text())
    assert [run["round"] for run in kept["runs"]] == [0, 0, 1, 1, 2, 2]
    ours = kept["medians"]["lmkernel jax"]
    assert (ours["decode1"], ours["prefill"]) == (100.0, 100.0)


def test_who_fails_is_named_and_not_run_again(harness: Harness) -> None:
    code = harness("--only=torch", "--metrics=decode1", "--rounds=2", broken="static")
    assert code == 1
    assert harness.turns().count("hf.py static") == 1
    assert "**transformers static failed** (exit code 1: it broke)." in harness.page()


def test_cold_starts_are_compared_by_time_and_peak(harness: Harness) -> None:
    harness("--only=numpy", "--metrics=cold", "--rounds=1", ballast=300 << 20)
    page = harness.page()
    assert "cold start to 32 tokens, s" in page
    assert "| its peak memory, MiB" in page
    assert "different answers" not in page


def test_an_unknown_backend_is_wrong_usage(
    harness: Harness, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        harness("--only=mxnet")
    assert "expected some of numpy,torch,tensorflow,jax, got mxnet" in capsys.readouterr().err


def test_training_runs_the_rivals_and_every_precision(harness: Harness) -> None:
    harness("train", "--only=torch", "--rounds=1")
    assert harness.turns() == [
        "hf_train.py float32",
        "hf_train.py autocast",
        "lmk_train.py torch",
        "lmk_train.py torch-bfloat16",
    ]


def test_a_step_of_training_stands_beside_its_bar(harness: Harness) -> None:
    harness("train", "--only=jax", "--rounds=1", "--repeats=5")
    page = harness.page()
    rows = [[cell.strip() for cell in row.split("|")[2:-1]] for row in page.splitlines()]
    assert ["jax", "0.500", "kerashub-jax fit", "1.000", "0.50", "≤ 0.85", "ok"] in rows
    assert ["jax", "5.00", "kerashub-jax fit", "5.00", "1.00", "≤ 0.7", "below"] in rows


def test_servers_are_compared_with_the_best_of_the_others(harness: Harness) -> None:
    harness("serve", "--only=torch", "--rounds=1", "--gguf=model.gguf", broken="llama-cpp")
    page = harness.page()
    rows = [[cell.strip() for cell in row.split("|")[2:-1]] for row in page.splitlines()]
    assert ["torch", "90.0", "server transformers", "60.0", "1.50", "≥ 1", "ok"] in rows
    assert "**server llama-cpp failed** (exit code 1: it broke)." in page
    assert "so many times one client's tokens: lmkernel torch 3.0." in page
    assert "**Below 4 times**: lmkernel torch." in page
    [ours] = [row for row in page.splitlines() if row.startswith("| lmkernel torch") and "%" in row]
    assert [cell.strip() for cell in ours.split("|")][-3] == "50%"


def test_llama_cpp_is_left_out_without_a_file(harness: Harness) -> None:
    assert harness("serve", "--only=torch", "--rounds=1") == 0
    assert harness.turns() == [
        "serve.py transformers",
        "serve.py transformers-batching",
        "serve.py torch",
    ]
    assert "none, so it was left out" in harness.page()
