"""The verdict: deterministic, in every form, and recomputed from what a document holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from safetensors.numpy import save_file

import lmkernel as lk
from lmkernel.cli.main import main
from lmkernel.errors import CheckpointError, InputError, LmkernelError, UnknownNameError
from lmkernel.verification.document import read_document

if TYPE_CHECKING:
    from pathlib import Path

    import ports


def test_a_verdict_is_the_same_twice(quick: Any) -> None:
    assert quick("qwen2", "numpy").json() == quick("qwen2", "numpy").json()


def test_a_defect_that_overflows_where_it_is_tried_warns_of_nothing(
    quick: Any, wrong: ports.Wrong, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflow(*_: Any) -> Any:
        tried.append(np.float32(3e38) * np.float32(10))
        return tried[-1]

    tried: list[Any] = []
    monkeypatch.setattr("lmkernel.verification.diagnosing._left", overflow)
    wrong.logits = lambda x: x + x * x / 8
    assert not quick("llama").passed
    assert np.isinf(tried).all()
    assert tried


def test_every_form_says_the_verdict(found: Any) -> None:
    assert not found.passed
    assert found.parts_at == "logits"
    assert found.verdict in str(found)
    assert found.verdict in found.markdown()
    assert '<span class="pill wrong">wrong</span>' in found.html()
    suites = ET.fromstring(found.junit())  # noqa: S314 - our own
    assert [suite.get("name") for suite in suites] == ["places", "guards"]
    assert int(suites[0].get("failures", 0)) > 0
    assert 0 < found.document["metrics"]["kl_forward"] < 1e-3
    assert found.document["metrics"]["first_difference"] is None
    assert found.document["subject"]["dtype"] == "float32"


def test_a_document_is_recomputed_and_an_edited_one_refused(found: Any, tmp_path: Path) -> None:
    found.write(tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "verification.json",
        "verification.html",
        "verification.md",
        "junit.xml",
    }
    path = tmp_path / "out" / "verification.json"
    assert read_document(path) == found.json()
    edited = {**found.json(), "passed": True, "verdict": "right: all is well"}
    path.write_text(json.dumps(edited))
    with pytest.raises(CheckpointError, match="passed: False follows from it, it says True"):
        read_document(path)
    for place in edited["places"]:
        place["share"] = 0.1
    path.write_text(json.dumps(edited))
    with pytest.raises(CheckpointError, match=r"verdict: .right: python"):
        read_document(path)
    path.write_text('{"format": 1}')
    with pytest.raises(CheckpointError, match="checkpoint: expected a verification's"):
        read_document(path)


def test_a_result_never_replaces_anything_else(found: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="not empty"):
        found.write(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_the_command_ends_in_what_it_found(
    twins: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: ports.Wrong
) -> None:
    asked = ["verify", str(twins["qwen2"]), "--quick", "--subject"]
    assert main([*asked, "numpy", "--out", str(tmp_path / "out")]) == 0
    assert "right: numpy in float32" in capsys.readouterr().out
    assert main(["verify", "--verify", str(tmp_path / "out" / "verification.json")]) == 0
    wrong.logits = lambda x: x * 1.5
    assert main([*asked, "python:ports:broken", "--json"]) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["passed"] is False
    assert main([*asked, "python:ports:crash"]) == 3
    assert "so sorry" in capsys.readouterr().err
    assert main([*asked, "nobody"]) == 1
    assert main(["verify", "--subjects"]) == 0
    assert "python:MODULE:FUNCTION" in capsys.readouterr().out


def test_the_first_choice_that_differs_is_named_with_its_margin(
    quick: Any, wrong: ports.Wrong
) -> None:
    wrong.logits = lambda x: np.roll(x, 1, -1)
    found = quick("qwen2", diagnosing=False)
    one = found.document["metrics"]["first_difference"]
    assert (one["question"], one["position"]) == ("tokens", 1)
    assert one["got"] == (one["expected"] + 1) % 211 or one["gap"] > 0
    assert not one["tie"]
    assert "after token 1 of 'tokens'" in str(found)


def test_own_prompts_are_asked_besides(quick: Any) -> None:
    found = quick("qwen2", "numpy", ids=[[3, 1, 4], [1, 5]])
    rows = {row["name"]: row["ids"] for row in found.document["rows"]}
    assert rows["ids 1"] == [3, 1, 4]
    assert {"ids 1", "ids 2"} <= {p["question"] for p in found.document["places"]}


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"prompts": ["hello"]}, InputError, "the checkpoint has no tokenizer"),
        ({"ids": [[999]]}, InputError, "expected token ids in 0 … 60"),
        ({"ids": [[]]}, InputError, "expected at least one token id"),
        ({"level": "lazy"}, UnknownNameError, "unknown level 'lazy'"),
        ({"dtype": "float8"}, UnknownNameError, "unknown dtype 'float8'"),
    ],
)
def test_what_cannot_be_asked_is_said(
    options: dict[str, Any], error: type[Exception], words: str, quick: Any
) -> None:
    with pytest.raises(error, match=words):
        quick("qwen2", "numpy", **options)


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        lk.verify(tmp_path / "nothing", subject="numpy", progress=False)


def test_a_checkpoint_of_an_unknown_family_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "martian"}')
    save_file({"weight": np.zeros(2, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(LmkernelError, match="'martian'"):
        lk.verify(tmp_path, subject="numpy", progress=False)


def test_the_fixture_of_pytest_fails_with_the_table(
    lmkernel_verify: Any, twins: dict[str, Path], wrong: ports.Wrong
) -> None:
    import ports

    found = lmkernel_verify(twins["qwen2"], subject=ports.broken, level="quick")
    assert found.verdict.startswith("right: broken in float32")
    wrong.logits = lambda x: -x
    with pytest.raises(pytest.fail.Exception, match="wrong: broken in float32"):
        lmkernel_verify(twins["qwen2"], subject=ports.broken, level="quick", diagnosing=False)
