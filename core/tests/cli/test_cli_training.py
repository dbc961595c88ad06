"""``pretrain``, ``finetune`` and ``evaluate`` on tiny models: what they write and say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from made_trackers import Plugin as Trackers
from training_files import contents, done, pretraining, rows, story

from lmkernel.checkpoints.directory import open_model
from lmkernel.cli.main import main
from lmkernel.plugins import Registry

if TYPE_CHECKING:
    from pathlib import Path

TAUGHT = [{"prompt": f"Name {n}", "completion": "stone" * (n % 2 + 1)} for n in range(12)]
LABELLED = [{"text": ("a river", "a stone")[n % 2], "label": "ws"[n % 2]} for n in range(16)]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "home"))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return story(tmp_path / "story.txt")


@pytest.fixture
def run(tmp_path: Path, text: Path) -> Path:
    """A finished run."""
    done(*pretraining(text, tmp_path / "run"))
    return tmp_path / "run"


def settings_in(run: Path) -> dict[str, Any]:
    return tomllib.loads((run / "run.toml").read_text())


def logged(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def with_trackers() -> Registry:
    """All that is installed, and the trackers made for tests."""
    registry = Registry()
    registry.register("made", Trackers())
    return registry


# a run


def test_a_run_says_how_it_ended_and_shows_a_sample(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done(*pretraining(text, tmp_path / "run"))
    out, err = capsys.readouterr()
    first, second, rest = out.split("\n", 2)
    assert first.startswith("finished after step 4: loss 5.")
    assert "perplexity" in first
    assert "bits per byte" in first
    assert second == f"model: {tmp_path / 'run' / 'model'}"
    assert rest.startswith("sample: The")
    assert err == ""


def test_a_run_leaves_settings_numbers_a_curve_checkpoints_and_a_model(run: Path) -> None:
    assert settings_in(run)["training"]["checkpoint_every"] == 2
    assert [line["step"] for line in logged(run)] == [1, 2, 3, 4, 4]
    assert {p.name for p in (run / "checkpoints").iterdir()} == {"step-000002", "step-000004"}
    assert open_model(run / "model").config["n_embd"] == 16
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_progress_is_shown_on_standard_error(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [a for a in pretraining(text, tmp_path / "run") if a != "--quiet"]
    done(*arguments)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "learning a vocabulary of 280 tokens"
    assert any(line.startswith("step 4/4: validation loss") for line in lines)


def test_settings_come_from_defaults_below_a_file_below_flags(tmp_path: Path, text: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("[training]\nsteps = 3\nbatch = 3\n[model]\nwidth = 8\nheads = 1\n")
    done(*pretraining(text, tmp_path / "run", "--config", str(file)))
    got = settings_in(tmp_path / "run")
    assert (got["training"]["steps"], got["training"]["batch"]) == (4, 2)  # flags
    assert got["optimizer"]["kind"] == "adamw"
    done("pretrain", "--config", file, "--data", text, "--out", tmp_path / "b", "--quiet")
    got = settings_in(tmp_path / "b")
    assert (got["training"]["steps"], got["model"]["width"], got["model"]["layers"]) == (3, 8, 4)


def test_the_settings_of_a_run_begin_the_same_run(tmp_path: Path, run: Path) -> None:
    done("pretrain", "--config", run / "run.toml", "--out", tmp_path / "again", "--quiet")
    assert contents(tmp_path / "again" / "model") == contents(run / "model")


def test_a_name_with_quotes_and_backslashes_is_taken_as_it_is(tmp_path: Path, run: Path) -> None:
    odd = tmp_path / 'it\'s\\odd "too"'
    (run / "model").rename(odd)
    data = tmp_path / "story.txt"
    done(*pretraining(data, tmp_path / "b", "--start", str(odd)))
    assert settings_in(tmp_path / "b")["model"]["start"] == str(odd)


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_other_families_are_trained_from_nothing(tmp_path: Path, text: Path, family: str) -> None:
    objective = "masked" if family == "bert" else "causal"
    more = ("--family", family, "--objective", objective, "--context", "24")
    done(*pretraining(text, tmp_path / "run", *more))
    assert open_model(tmp_path / "run" / "model").config["model_type"] == family


# going on


@pytest.mark.parametrize("lost", ["nothing", "model"])
def test_a_finished_run_says_so_and_gives_its_numbers_again(
    run: Path, capsys: pytest.CaptureFixture[str], lost: str
) -> None:
    """Also where it was killed between the last checkpoint and the model."""
    before = contents(run / "model")
    if lost == "model":
        (run / "model").rename(run.parent / "gone")
    numbers = logged(run)
    capsys.readouterr()
    done("pretrain", "--resume", run, "--quiet")
    out, err = capsys.readouterr()
    assert out.startswith(f"was finished after step 4: loss {numbers[-1]['validation/loss']:.4g}")
    assert err == "nothing was left to train; for more, say --steps\n"
    assert contents(run / "model") == before
    assert logged(run) == numbers


def test_more_steps_go_on_with_a_finished_run(run: Path) -> None:
    done("pretrain", "--resume", run, "--steps", "6", "--quiet")
    assert [line["step"] for line in logged(run)] == [1, 2, 3, 4, 4, 5, 6, 6]
    assert settings_in(run)["training"]["steps"] == 6
    kept = tomllib.loads((run / "run-until-000004.toml").read_text())
    assert kept["training"]["steps"] == 4


def test_a_run_stops_early_and_stays_stopped(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rate is so small that no evaluation is better than the first."""
    more = ("--rate", "1e-30", "--set", "training.evaluate_every=1", "--set", "training.patience=2")
    done(*pretraining(text, tmp_path / "run", *more, "--steps", "9"))
    out = capsys.readouterr().out
    assert out.startswith("stopped early after step 3: ")
    assert "\nbest: loss 5." in out
    assert " at step 1\n" in out
    done("pretrain", "--resume", tmp_path / "run", "--quiet")
    assert capsys.readouterr().out.startswith("was finished after step 3: ")
    done("pretrain", "--resume", tmp_path / "run", "--set", "training.patience=0", "--quiet")
    assert capsys.readouterr().out.startswith("finished after step 9: ")


SLOWLY = """
import sys, time
from lmkernel.cli.main import main
from lmkernel.training.trainer import ComposedTrainer

def slowly(self, state, batches, step=ComposedTrainer.step):
    time.sleep(0.05)
    return step(self, state, batches)

ComposedTrainer.step = slowly
sys.exit(main(sys.argv[1:]))
"""


def interrupted(arguments: list[str], run: Path, number: int) -> tuple[int, str, str]:
    """Exit code and output of a run that gets a signal after some steps."""
    with subprocess.Popen(
        [sys.executable, "-c", SLOWLY, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    ) as child:
        while not (run / "metrics.jsonl").exists() or len(logged(run)) < 3:
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(number)
        out, err = child.communicate(timeout=120)
    return child.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_says_how_to_go_on_and_ends_in_the_same_bits(
    tmp_path: Path, text: Path, number: int
) -> None:
    more = ("--steps", "30", "--set", "training.checkpoint_every=0")
    place = tmp_path / "my run"
    code, out, err = interrupted(pretraining(text, place, *more), place, number)
    steps = max(line["step"] for line in logged(place))
    assert (code, out) == (130, "")
    assert err == (
        f"interrupted after step {steps}; go on with:\n  lmkernel pretrain --resume '{place}'\n"
    )
    assert 3 <= steps < 30
    assert [p.name for p in (place / "checkpoints").iterdir()] == [f"step-{steps:06d}"]
    assert not (place / "model").exists()
    one_thread = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    for arguments in (
        ["pretrain", "--resume", str(place), "--quiet"],
        pretraining(text, tmp_path / "calm", *more),
    ):
        command = [sys.executable, "-m", "lmkernel.cli", *arguments]
        subprocess.run(command, check=True, capture_output=True, env=one_thread)
    assert contents(place / "model") == contents(tmp_path / "calm" / "model")
    assert logged(place) == logged(tmp_path / "calm")


def test_trackers_are_told_of_the_run_and_of_an_interrupt(
    tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmkernel.training.recording import Interrupts

    place = tmp_path / "run"
    arguments = pretraining(text, place, "--tracker", "diary")
    with monkeypatch.context() as patch:
        patch.setattr(Interrupts, "after_step", lambda *_: True)
        assert main(arguments, registry=with_trackers()) == 130
    assert main(["pretrain", "--resume", str(place), "--quiet"], registry=with_trackers()) == 0
    told = (place / "diary").read_text().splitlines()
    assert [line for line in told if "log" not in line] == [
        "diary open run 0",
        "diary close interrupted",
        "diary open run 1",
        "diary close finished",
    ]


def test_a_tracker_that_breaks_is_said_once_and_the_run_goes_on(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = pretraining(text, tmp_path / "r", "--tracker", "brittle")
    arguments.remove("--quiet")
    assert main(arguments, registry=with_trackers()) == 0
    err = capsys.readouterr().err
    assert (
        err.count("tracker 'brittle' fails and is left out from here on: ValueError: broken") == 1
    )


# fine-tuning


def test_instructions_are_learnt_by_adapters_and_merged_on_request(
    tmp_path: Path, run: Path
) -> None:
    data, place = rows(tmp_path / "a.jsonl", TAUGHT), tmp_path / "tuned"
    more = ("--lora", "2", "--steps", "4", "--batch", "2", "--quiet", "--rate", "0.05")
    template = {"chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}"}
    tokenizer = run / "model" / "tokenizer_config.json"
    tokenizer.write_text(json.dumps({**json.loads(tokenizer.read_text()), **template}))
    place_of_data = ("--data", str(data), "--set", "data.truncate=true")
    done("finetune", run / "model", "--out", place, *place_of_data, *more)
    assert (place / "model" / "adapter_config.json").exists()
    adapted = open_model(place / "model").tensors
    done("finetune", "--resume", place, "--merge", "--quiet")
    assert not (place / "model" / "adapter_config.json").exists()
    merged = open_model(place / "model").tensors
    for name in merged.names():
        expected = adapted.read(name)
        np.testing.assert_allclose(merged.read(name), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("said", "flags", "rate"),
    [("", (), 2e-5), ("", ("--lora", "2"), 2e-4), ("[lora]\nrank = 2", (), 2e-4)],
)
def test_adapters_have_a_higher_rate_by_default(
    tmp_path: Path, run: Path, said: str, flags: tuple[str, ...], rate: float
) -> None:
    file = tmp_path / "s.toml"
    file.write_text(said)
    base = ("finetune", run / "model", "--objective", "causal", "--data", tmp_path / "story.txt")
    more = ("--steps", "1", "--quiet", "--config", file, "--out", tmp_path / "t")
    done(*base, *more, *flags)
    assert settings_in(tmp_path / "t")["schedule"]["rate"] == rate


@pytest.fixture
def encoder(tmp_path: Path, text: Path) -> Path:
    more = ("--family", "bert", "--objective", "masked")
    done(*pretraining(text, tmp_path / "bert", *more))
    return tmp_path / "bert" / "model"


def test_classes_are_learnt_and_evaluated_by_their_names(
    tmp_path: Path, encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = rows(tmp_path / "a.jsonl", LABELLED)
    base = ("finetune", encoder, "--objective", "classification", "--data", data, "--quiet")
    more = ("--steps", "40", "--batch", "4", "--rate", "0.01", "--out", tmp_path / "t")
    done(*base, *more)
    config = open_model(tmp_path / "t" / "model").config
    assert config["id2label"] == {"0": "s", "1": "w"}
    capsys.readouterr()
    place = tmp_path / "t" / "model"
    done("evaluate", place, "--objective", "classification", "--data", data, "--json")
    got = json.loads(capsys.readouterr().out)
    assert (got["accuracy"], got["f1"], got["targets"]) == (1.0, 1.0, 16.0)


# evaluating


def test_evaluation_is_a_line_for_each_metric(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    done("evaluate", run / "model", "--data", tmp_path / "story.txt")
    lines = capsys.readouterr().out.splitlines()
    names = [line.rsplit(maxsplit=1)[0] for line in lines]
    assert names == ["loss", "targets", "perplexity", "accuracy", "bits per byte"]


def test_evaluation_is_of_all_data_and_the_same_by_flags_or_file(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, file = tmp_path / "story.txt", tmp_path / "s.toml"
    file.write_text(f"[model]\nstart = '{run / 'model'}'\n[data]\ntrain = '{data}'\ncontext = 8\n")
    results = []
    for arguments in (
        ("evaluate", run / "model", "--data", data, "--context", "8", "--batch", "3", "--json"),
        ("evaluate", "--config", file, "--json"),
    ):
        capsys.readouterr()
        done(*arguments)
        results.append(json.loads(capsys.readouterr().out))
    one, other = results
    assert (one["model"], one["data"]) == (str(run / "model"), str(data))
    assert one["targets"] == other["targets"] > 500
    assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
    assert one["bits_per_byte"] == pytest.approx(
        one["loss"] * one["targets"] / (np.log(2) * data.stat().st_size), rel=1e-3
    )
