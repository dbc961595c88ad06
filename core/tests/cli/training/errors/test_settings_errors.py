"""Settings that the commands refuse, named with their line or as said on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from training_files import done, pretraining, said

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        (
            "[training]\nsteps = 3\nbatchs = 4\n",
            "line 3: training.batchs: unknown key. Did you mean 'batch'? Available: steps, ",
        ),
        ('[training]\nsteps = "many"\n', "line 2: training.steps: expected a whole number, got "),
        ("[optimizer]\nkind = 3\n", "line 2: optimizer.kind: expected "),
        ("\n[training]\nsteps = 0\n", "line 3: training.steps: expected a positive integer, got 0"),
        ("[training\n", "line 1: expected TOML: "),
        ("[model]\nwidth = 10\nheads = 3\n", "line 3: model.heads: expected a divisor of width=10"),
        ("[training]\nsmoothing = 1.0\n", "line 2: training.smoothing: expected a share in [0, 1)"),
        ("[model]\nlayers = 1_000_000\n", "line 2: model.layers: expected at most 10000, got"),
        ("[model]\nvocab = 1_000_000_000\n", "line 2: model.vocab: expected at most 4194304, got"),
        ('[optimizer]\nkind = "adan"', "line 2: optimizer.kind: unknown optimizer 'adan'. Did you"),
        ('trackers = ["diaru"]', "line 1: trackers[0]: unknown tracker 'diaru'"),
        ('backend = "nunpy"', "line 1: backend: unknown backend 'nunpy'. Did you mean 'numpy'?"),
        ('[model]\nfamily = "gtp2"', "line 2: model.family: unknown family of new models 'gtp2'"),
    ],
)
def test_a_bad_settings_file_is_named_with_its_line(
    tmp_path: Path, out: Path, capsys: Capture, written: str, complaint: str
) -> None:
    file = tmp_path / "s.toml"
    file.write_text(written)
    got = said(capsys, "pretrain", "--config", file, "--out", out)
    assert got.startswith(f"{file}, {complaint}")
    assert not out.exists()


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--steps", "0"), "among the arguments: training.steps: expected a positive integer"),
        (("--set", "training.batchs=4"), "among the arguments: training.batchs: unknown key"),
        (("--set", "steps"), "expected a setting of the form key=value, got 'steps'"),
        (("--dtype", "float16"), "among the arguments: training.precision: expected "),
        (("--dtype", "bfloat16"), "backend 'numpy' declares the dtypes float32, float64"),
        (("--backend", "nunpy"), "unknown backend 'nunpy'. Did you mean 'numpy'?"),
        (("--tracker", "diaru"), "unknown tracker 'diaru'."),
        (("--family", "gtp2"), "unknown family of new models 'gtp2'. Did you mean 'gpt2'?"),
        (("--set", "optimizer.kind=adan"), "unknown optimizer 'adan'. Did you mean 'adam'?"),
        (("--objective", "masked"), "objective 'masked': a gpt2 model is trained by causal"),
        (("--set", "lora.rank=2"), "expected none for a new model: adapters need model.start"),
        (("--start", "./nowhere"), "model.width: expected none beside model.start='./nowhere', "),
        (("--set", "optimizer.options={x = 1}"), "options: expected none, got {'x': 1}"),
        (("--config", "nowhere.toml"), "nowhere.toml: cannot be read: No such file"),
    ],
)
def test_bad_flags_are_refused_and_no_folder_is_left(
    text: Path, out: Path, capsys: Capture, flags: tuple[str, ...], complaint: str
) -> None:
    assert complaint in said(capsys, *pretraining(text, out, *flags))
    assert not out.exists()


def test_a_folder_that_was_there_stays(text: Path, out: Path, capsys: Capture) -> None:
    out.mkdir()
    said(capsys, *pretraining(text, out, "--tracker", "diaru"))
    assert out.is_dir()
    done(*pretraining(text, out))
