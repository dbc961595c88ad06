"""The built-in subjects: each is right where it should be, and its faults are one sentence."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import lmkernel as lk
from lmkernel.errors import InputError, MissingDependencyError, SubjectError, UnknownNameError
from lmkernel.plugins import Registry, SubjectSpec, hookimpl
from lmkernel.verification.subjects import stdio
from lmkernel.verification.verb import write_prompts

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import json, sys
import lmkernel as lk
opened = json.loads(sys.stdin.readline())
model = lk.load(opened["checkpoint"], backend="numpy", progress=False)
print(json.dumps({"versions": {"port": "7"}}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({"logits": model.logits(asked["ids"]).tolist()}), flush=True)
"""


@pytest.mark.parametrize("name", ["numpy", "backend:numpy"])
def test_a_backend_is_right_everywhere(name: str, quick: Any) -> None:
    found = quick("llama", name)
    assert found.passed, found
    assert all(q["asked"] for q in found.document["questions"])
    places = {p["activation"] for p in found.document["places"]}
    assert {"embedding", "layer 2 (attention)", "final norm", "logits"} <= places


def test_a_function_is_asked_what_it_can_take(quick: Any) -> None:
    found = quick("bert", "python:ports:honest")
    assert found.passed
    asked = {q["name"]: q["asked"] for q in found.document["questions"]}
    assert asked == {
        "tokens": True,
        "short": True,
        "long": True,
        "end": False,
        "padded on the right": False,
    }
    not_asked = {g["name"] for g in found.document["guards"] if g["state"] == "not asked"}
    assert {"mask", "positions", "cache", "activations"} <= not_asked


def test_what_a_function_prints_is_not_the_results(
    quick: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quick("qwen2", "python:ports:chatter").passed
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "loading" in printed.err


def test_a_function_that_does_not_come_back_is_ended(quick: Any) -> None:
    def wait(ids: Any) -> Any:
        threading.Event().wait()
        return ids

    with pytest.raises(SubjectError, match="question 'tokens': no answer within"):
        quick("qwen2", wait, limit=0.1)


def test_a_function_that_ends_the_program_is_a_subject_that_fails(quick: Any) -> None:
    with pytest.raises(SubjectError, match="question 'tokens': SystemExit: 0"):
        quick("qwen2", lambda ids: sys.exit(0 if ids.size else 1))


def test_why_something_is_no_array_is_said(quick: Any) -> None:
    class Tensor:
        def __array__(self, *_: Any, **__: Any) -> Any:
            raise TypeError("Got unsupported ScalarType BFloat16")

    with pytest.raises(SubjectError, match=r"array of numbers, got .*: Got unsupported Scalar"):
        quick("qwen2", lambda ids: Tensor() if ids.size else None)


def test_the_verdict_says_the_versions_of_both_sides(quick: Any) -> None:
    def port(ids: Any) -> Any:
        return np.zeros((*ids.shape, 61))

    found = quick("qwen2", "numpy")
    assert {"lmkernel", "numpy"} <= set(found.document["subject"]["versions"])
    assert {"lmkernel", "numpy", "Python"} <= set(found.document["reference"]["versions"])
    assert "; reference: lmkernel " in str(found)
    alone = quick("qwen2", port, diagnosing=False)
    assert "versions: the subject says none; reference: lmkernel " in str(alone)
    port.__module__ = "pytest.something"
    known = quick("qwen2", port, diagnosing=False)
    assert known.document["subject"]["versions"] == {"pytest": pytest.__version__}


def test_a_program_is_asked_by_lines(quick: Any, tmp_path: Path) -> None:
    (tmp_path / "port.py").write_text(PROGRAM)
    found = quick("qwen2", f"stdio:{sys.executable} {tmp_path / 'port.py'}")
    assert found.passed, found
    assert found.document["subject"]["versions"] == {"port": "7"}


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("raise SystemExit(4)", "it ended with code 4"),
        ("raise OSError('no disk')", "ended with code 1: OSError: no disk"),
        ("print('Loading…', flush=True); input()", "expected one line of JSON, an object, got"),
        ("import time; time.sleep(60)", "no answer within 0.2 s"),
        ("print('{}', flush=True); input(); input(); exit(5)", "question 'tokens': it ended with"),
        ('print(\'{"capabilities": ["magic"]}\', flush=True); input()', "got 'magic'"),
        ('print(\'{"error": "no such model"}\', flush=True); input()', "no such model"),
        ("print('{}', flush=True); input(); print('{}', flush=True); input()", "got nothing"),
        (
            "print('{}', flush=True); input(); input(); print('{\"logits\": [[1], []]}')",
            "logits: expected an array of numbers",
        ),
    ],
)
def test_a_program_that_fails_is_said(program: str, words: str, quick: Any, tmp_path: Path) -> None:
    (tmp_path / "port.py").write_text(program)
    limit = 0.2 if "sleep" in program else 60.0
    with pytest.raises(SubjectError, match=words):
        quick("qwen2", f"stdio:{sys.executable} {tmp_path / 'port.py'}", limit=limit)


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("print('x' * 101); input()", "expected a line of at most 100 characters"),
        (
            "import os; os.write(1, b'\\xff\\n'); input()",
            "expected one line of JSON, an object, got",
        ),
        (
            "print('x\\n' * 99, flush=True); input()",
            "expected one line of JSON, an object, got 'x'",
        ),
    ],
)
def test_a_program_that_says_too_much_is_left(
    program: str, words: str, quick: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdio, "_LONGEST", 100)
    (tmp_path / "port.py").write_text(program)
    with pytest.raises(SubjectError, match=words):
        quick("qwen2", f"stdio:{sys.executable} {tmp_path / 'port.py'}")


@pytest.mark.parametrize("suffix", ["npz", "safetensors", "jsonl"])
def test_a_file_is_compared_with_the_rows_that_were_written(
    suffix: str, quick: Any, twins: dict[str, Path], tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    assert write_prompts(twins["qwen2"], rows, level="quick") == 4
    model, path, made = lk.load(twins["qwen2"]), tmp_path / f"answers.{suffix}", {}
    for line in rows.read_text().splitlines():
        row = json.loads(line)
        where = np.array([row["positions"]], np.int32)
        with model.backend:
            ops = model.backend.ops
            ids = ops.asarray(np.array([row["ids"]], np.int32), "int32")
            out = model.model.forward(model.params, ids, positions=ops.asarray(where, "int32"))
            made[row["name"]] = ops.to_numpy(out)[0]
    if suffix == "npz":
        np.savez(path, **made)
    elif suffix == "jsonl":
        lines = [json.dumps({"name": n, "logits": x.tolist()}) for n, x in made.items()]
        path.write_text("\n".join(lines))
    else:
        from safetensors.numpy import save_file

        save_file(made, path)
    found = quick("qwen2", f"file:{path}")
    assert found.passed, found
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.document["subject"]["versions"] == {"SHA-256": expected}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"name": "tokens", "logits": [[1]], "ids": [1, 2]}', "the ids are not those asked for"),
        ('{"name": "other", "logits": [[1]]}', "no answer to the row 'tokens'; there: other"),
        ("[]", "line 1: expected an object with a name"),
        ('{"name": "tokens", "logits": [[1]]}', r"expected logits of shape \(1, 24, 211\)|\(1, 24"),
    ],
)
def test_a_file_that_does_not_fit_is_said(
    line: str, words: str, quick: Any, tmp_path: Path
) -> None:
    (tmp_path / "answers.jsonl").write_text(line)
    with pytest.raises(SubjectError, match=words):
        quick("qwen2", f"file:{tmp_path / 'answers.jsonl'}")


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("nothing", UnknownNameError, "unknown subject 'nothing'"),
        ("nunpy", UnknownNameError, "Did you mean 'numpy'"),
        ("python:ports", InputError, "expected python:MODULE:FUNCTION"),
        ("python:ports:missing", SubjectError, "ports has no 'missing'"),
        ("python:no_such_module:f", SubjectError, "No module named 'no_such_module'"),
        ("python:ports:crash", SubjectError, "question 'tokens': ZeroDivisionError: so sorry"),
        ("file:/nowhere.npz", InputError, "expected file:PATH of a file"),
        ("stdio:", InputError, "expected stdio:COMMAND"),
        ("stdio:/no/such/program", SubjectError, "No such file"),
        ("backend:", InputError, "expected backend:NAME"),
    ],
)
def test_a_subject_that_cannot_be_asked_is_one_sentence(
    name: str, error: type[Exception], words: str, quick: Any
) -> None:
    with pytest.raises(error, match=words):
        quick("qwen2", name)


class Plugin:
    """A plugin whose subject needs what is not installed."""

    @hookimpl
    def lmkernel_register_subjects(self) -> list[SubjectSpec]:
        return [
            SubjectSpec(
                name="far",
                contract="1.2",
                load="far.away:Subject",
                help="not here",
                requires=("no_such_library",),
                install="pip install far",
            ),
            SubjectSpec(name="broken", contract="1.2", load="json:loads", help="fails"),
        ]


def test_a_missing_extra_comes_with_its_command(quick: Any) -> None:
    registry = Registry()
    registry.register("far", Plugin())
    with registry.use(), pytest.raises(MissingDependencyError, match="run: pip install far"):
        quick("qwen2", "far")


def test_a_plugin_that_fails_is_a_subject_that_cannot_be_asked(quick: Any) -> None:
    registry = Registry()
    registry.register("far", Plugin())
    with registry.use(), pytest.raises(SubjectError, match="subject 'broken', json:loads"):
        quick("qwen2", "broken")


def test_a_subject_that_answers_differently_each_time_is_said(quick: Any) -> None:
    asked = iter(range(1000))

    def drops(ids: Any) -> Any:
        return np.random.default_rng(next(asked)).standard_normal((*ids.shape, 61))

    found = quick("qwen2", drops, diagnosing=False)
    [guard] = [g for g in found.document["guards"] if g["name"] == "run to run"]
    assert guard["state"] == "problem"
    assert "two answers" in guard["text"]
