"""Models as ONNX files, run by ONNX Runtime alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lmkernel_onnx.exporting
import lmkernel_onnx.onnx_files
import lmkernel_onnx.trying
import numpy as np
import onnx
import onnxruntime
import pytest
from lmkernel_onnx.exporting import export
from small_families import small_llama, written

import lmkernel as lk
from lmkernel.cli.main import main
from lmkernel.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

PROMPTS = [[5, 17, 3], [8, 2, 44, 9, 31, 7]]
FAMILIES = ("gpt2", "mistral", "gemma2", "deepseek_v2", "mixtral", "falcon", "opt")


def decoded(file: Path, steps: int) -> tuple[list[list[int]], list[np.ndarray]]:
    """Greedy tokens of the prompts, and the logits of each step, by ONNX Runtime alone."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    past = {
        x.name: np.zeros((2, x.shape[1], 0, x.shape[3]), np.float32)
        for x in session.get_inputs()
        if x.name.startswith("past_key_values.")
    }
    names = [x.name for x in session.get_outputs()]
    longest = max(map(len, PROMPTS))
    ids = np.array([[0] * (longest - len(p)) + p for p in PROMPTS])
    mask = np.array([[0] * (longest - len(p)) + [1] * len(p) for p in PROMPTS])
    tokens: list[list[int]] = [[], []]
    scores = []
    for _ in range(steps):
        found = dict(
            zip(
                names,
                session.run(None, {"input_ids": ids, "attention_mask": mask, **past}),
                strict=True,
            )
        )
        past = {
            n.replace("present", "past_key_values"): x for n, x in found.items() if n != "logits"
        }
        scores.append(found["logits"][:, -1])
        ids = found["logits"][:, -1:].argmax(-1)
        mask = np.concatenate([mask, np.ones((2, 1), np.int64)], 1)
        for row, token in zip(tokens, ids[:, 0], strict=True):
            row.append(int(token))
    return tokens, scores


def expected(folder: Path, steps: int) -> tuple[list[list[int]], list[np.ndarray]]:
    """The same on the default backend, each row by itself."""
    language_model = lk.load(folder, backend="numpy", progress=False)
    model, params = language_model.model, language_model.params
    tokens, scores = [], []
    for prompt in PROMPTS:
        row, logits = list(prompt), []
        for _ in range(steps):
            ids = np.array([row], np.int32)
            with model.backend:
                logits.append(model.forward(params, ids)[0, -1])
            row.append(int(logits[-1].argmax()))
        tokens.append(row[len(prompt) :])
        scores.append(logits)
    return tokens, [np.stack(pair) for pair in zip(*scores, strict=True)]


def agree(folder: Path, file: Path) -> None:
    tokens, scores = decoded(file, 12)
    wanted, logits = expected(folder, 12)
    assert tokens == wanted
    for ours, theirs in zip(scores, logits, strict=True):
        # float32 in two orders of summation, two layers deep
        assert np.abs(ours - theirs).max() < 64 * np.finfo(np.float32).eps * np.abs(theirs).max()


def test_a_small_llama_decodes_by_plain_onnxruntime(tmp_path: Path) -> None:
    folder = small_llama(tmp_path / "model")
    made = lk.export(folder, tmp_path / "model.onnx", progress=False)
    onnx.checker.check_model(str(made.path), full_check=True)
    agree(folder, made.path)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_decodes_by_plain_onnxruntime(tmp_path: Path, family: str) -> None:
    folder = written(tmp_path / "model", family)
    made = export(folder, tmp_path / "model.onnx", progress=False)
    onnx.checker.check_model(str(made.path), full_check=True)
    agree(folder, made.path)


def test_inputs_and_results_have_the_names_that_other_programs_know(tmp_path: Path) -> None:
    made = export(small_llama(tmp_path / "model"), tmp_path / "model.onnx", progress=False)
    assert list(made.inputs)[:4] == [
        "input_ids",
        "attention_mask",
        "past_key_values.0.key",
        "past_key_values.0.value",
    ]
    assert list(made.outputs)[:2] == ["logits", "present.0.key"]
    assert made.inputs["past_key_values.1.key"] == ("batch_size", 2, "past_sequence_length", 8)
    assert made.outputs["logits"] == ("batch_size", "sequence_length", 61)
    assert made.json()["inputs"]["input_ids"] == ["batch_size", "sequence_length"]
    assert "past_key_values.N.key" in str(made)


def test_a_loaded_model_is_written_like_its_folder(tmp_path: Path) -> None:
    folder = small_llama(tmp_path / "model")
    model = lk.load(folder, backend="numpy", progress=False)
    one = export(model, tmp_path / "one.onnx", progress=False).path.read_bytes()
    other = export(folder, tmp_path / "other.onnx", progress=False).path.read_bytes()
    assert one == other


def test_many_weights_lie_beside_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmkernel_onnx.onnx_files, "_INSIDE", 1000)
    folder = small_llama(tmp_path / "model")
    made = export(folder, tmp_path / "model.onnx", progress=False)
    beside = tmp_path / "model.onnx.data"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", made.path.name, beside.name]
    assert made.size == made.path.stat().st_size + beside.stat().st_size
    assert beside.stat().st_size > made.path.stat().st_size
    agree(folder, made.path)


def test_the_command_says_what_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = small_llama(tmp_path / "model"), tmp_path / "model.onnx"
    assert main(["export", str(folder), str(out)]) == 0
    printed = capsys.readouterr().out
    assert "past_sequence_length" in printed
    assert "passes ONNX's checker" in printed
    assert main(["export", str(folder), str(out)]) == 1
    assert "overwrite" in capsys.readouterr().err


REFUSED = {
    "bert": "expected a decoder, got an encoder",
    "t5": "expected a decoder, got an encoder-decoder",
}


@pytest.mark.parametrize("family", REFUSED)
def test_refuses_what_is_no_decoder(tmp_path: Path, family: str) -> None:
    folder = written(tmp_path / "model", family)
    with pytest.raises(InputError, match=REFUSED[family]):
        export(folder, tmp_path / "model.onnx", progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_refuses_angles_that_depend_on_the_length(tmp_path: Path) -> None:
    scaling = {"rope_type": "dynamic", "factor": 2.0}
    folder = small_llama(tmp_path / "model", rope_scaling=scaling)
    with pytest.raises(InputError, match="do not depend on the length"):
        export(folder, tmp_path / "model.onnx", progress=False)


def test_replaces_a_file_only_when_asked(tmp_path: Path) -> None:
    folder, out = small_llama(tmp_path / "model"), tmp_path / "model.onnx"
    out.write_text("another")
    with pytest.raises(InputError, match="is there already"):
        export(folder, out, progress=False)
    assert out.read_text() == "another"
    assert export(folder, out, overwrite=True, progress=False).size > 1000


def test_refuses_a_folder_as_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got a folder"):
        export(small_llama(tmp_path / "model"), tmp_path, progress=False)


def test_a_graph_that_computes_something_else_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = lmkernel_onnx.trying._run

    def wrong(*args: Any) -> np.ndarray:
        return own(*args)[::-1]

    monkeypatch.setattr(lmkernel_onnx.trying, "_run", wrong)
    folder, out = small_llama(tmp_path / "model"), tmp_path / "model.onnx"
    out.write_text("another")
    with pytest.raises(InputError, match="can't be exported"):
        export(folder, out, overwrite=True, progress=False)
    assert out.read_text() == "another"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "model.onnx"]
