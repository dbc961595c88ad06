"""Training and evaluation from Python: what comes back, with the same numbers as the command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from letters import letters
from small import small_config, write_small
from training_files import rows, story

import lmkernel as lk
from lmkernel.cli.main import main
from lmkernel.errors import (
    CheckpointError,
    ConfigError,
    InputError,
    NotFiniteError,
    RunError,
    UnknownNameError,
)
from lmkernel.families.gpt2 import Gpt2
from lmkernel.families.llama import Llama
from lmkernel.model import Model
from lmkernel.sources.store import folder_of

SIZES: dict[str, Any] = {"width": 16, "layers": 1, "heads": 2, "context": 16, "vocab": 280}
FEW: dict[str, Any] = {"steps": 4, "batch": 2, "seed": 3, "progress": False}
TAUGHT = [{"prompt": "hi", "completion": "yo" * (n % 3 + 1)} for n in range(12)]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return story(tmp_path / "story.txt", 60)


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    write_small(tmp_path / "llama", Model(lk.load_backend("numpy"), small_config()), letters())
    return tmp_path / "llama"


def flags(values: dict[str, Any]) -> list[str]:
    named = {name: value for name, value in values.items() if name != "progress"}
    return [part for name, value in named.items() for part in (f"--{name}", str(value))]


def test_a_run_tells_what_it_did_and_loads(text: Path) -> None:
    run = lk.pretrain(text, out="run", **SIZES, **FEW)
    assert (run.status, run.step) == ("finished", 4)
    assert run.folder.name == "run"
    assert run.model == run.folder / "model"
    assert [row["step"] for row in run.metrics() if "train/loss" in row] == [1, 2, 3, 4]
    assert run.json()["evaluation"]["loss"] == run.evaluation["loss"]
    assert str(run).splitlines()[-1] == f"model: {run.model}"
    assert repr(run) == "TrainingRun('run', finished after step 4)"
    assert "<table>" in run._repr_html_()
    assert "data:image/png" in run._repr_html_()
    assert run.load().origin.model_type == "gpt2"


@pytest.mark.parametrize(
    ("family", "hides"), [("t5", "<extra_id_99>"), ("bart", "<mask>"), ("marian", "<extra_id_0>")]
)
def test_encoders_with_decoders_learn_to_denoise(text: Path, family: str, hides: str) -> None:
    sizes = {**SIZES, "vocab": 380}
    run = lk.pretrain(text, family=family, objective="denoising", out="run", **sizes, **FEW)
    assert run.status == "finished"
    assert run.load().tokenizer.token_id(hides) is not None
    again = lk.evaluate(run.model, text, objective="denoising")
    assert 0 < again["loss"] < 7


@pytest.mark.parametrize(("context", "said"), [(96, True), (128, False)])
def test_context_that_a_family_has_not_is_said(
    text: Path, capsys: pytest.CaptureFixture[str], context: int, said: bool
) -> None:
    sizes = {**SIZES, "context": context, "vocab": 380}
    sizes["settings"] = {"data.context": 16}
    few = {**FEW, "progress": True}
    lk.pretrain(text, family="t5", objective="denoising", out="run", **sizes, **few)
    line = f"a t5 model has no context of its own, so that of {context} changes nothing"
    assert (line in capsys.readouterr().err) is said


def test_vocabulary_without_sentinels_or_mask_is_refused(text: Path) -> None:
    rows_of_pairs = [{"source": "ab", "target": "ba"}] * 8
    pairs = rows(text.with_name("pairs.jsonl"), rows_of_pairs)
    first = lk.pretrain(pairs, family="t5", objective="sequences", out="a", **SIZES, **FEW)
    with pytest.raises(InputError, match="such as <extra_id_0> or with a mask_token, got"):
        lk.finetune(first.model, text, objective="denoising", out="b", **FEW)


def test_the_verb_and_the_command_pretrain_the_same_bits(text: Path) -> None:
    ours = lk.pretrain(text, out="a", **SIZES, **FEW)
    arguments = ["pretrain", "--data", str(text), "--out", "b", "--quiet"]
    assert main([*arguments, *flags({**SIZES, **FEW})]) == 0
    for name in ("model.safetensors", "config.json"):
        assert (ours.model / name).read_bytes() == (
            (ours.folder.parent / "b/model") / name
        ).read_bytes()


def test_the_verb_and_the_command_finetune_the_same_bits(tmp_path: Path, llama: Path) -> None:
    data = rows(tmp_path / "qa.jsonl", TAUGHT)
    ours = lk.finetune(llama, data, out="a", lora=2, **FEW)
    arguments = [
        "finetune",
        str(llama),
        "--data",
        str(data),
        "--out",
        "b",
        "--quiet",
        "--lora",
        "2",
    ]
    assert main([*arguments, *flags(FEW)]) == 0
    name = "adapter_model.safetensors"
    assert (ours.model / name).read_bytes() == (tmp_path / "b" / "model" / name).read_bytes()


def test_the_verb_and_the_command_evaluate_the_same(
    text: Path, llama: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = lk.evaluate(llama, text, progress=False)
    assert main(["evaluate", str(llama), "--data", str(text), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ours.json()
    assert ours["loss"] == ours.json()["loss"]
    assert dict(ours) == {k: v for k, v in ours.json().items() if k not in ("model", "data")}
    assert repr(ours).startswith("Evaluation(")


def test_a_run_goes_on_where_it_stopped(text: Path) -> None:
    whole = lk.pretrain(text, out="whole", **SIZES, **FEW)
    lk.pretrain(text, out="half", settings={"training.checkpoint_every": 2}, **SIZES, **FEW)
    longer = lk.resume("half", steps=6, progress=False)
    assert longer.step == 6
    assert longer.status == "finished"
    assert lk.resume(whole, progress=False).status == "was finished"


def test_a_resumed_run_keeps_its_model_and_what_it_says_of_itself(text: Path) -> None:
    run = lk.pretrain(text, out="run", **SIZES, **FEW)
    said = (run.folder / "run.toml").read_bytes()
    with pytest.raises(ConfigError, match=r"model\.heads: expected 2, as the run began, got 1"):
        lk.resume(run, heads=1, progress=False)
    assert lk.resume(run, learning_rate=0.5, progress=False).status == "was finished"
    assert (run.folder / "run.toml").read_bytes() == said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("metrics.jsonl", r"metrics\.jsonl: removed meanwhile; what was measured before step 3"),
        ("run.toml", r"run\.toml: removed meanwhile; written again"),
        ("environment.json", r"environment\.json: removed meanwhile"),
        ("checkpoints", r"checkpoints: removed meanwhile, with the checkpoints"),
    ],
)
def test_what_is_removed_from_a_run_is_told_and_no_more_is(
    text: Path, name: str, said: str
) -> None:
    def remove(what: str, done: int, total: int | None) -> None:
        del total
        path = Path("run", name)
        if what == "training" and done == 2:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    with pytest.warns(UserWarning, match=said):
        run = lk.pretrain(text, out="run", **SIZES, **FEW | {"progress": remove})
    assert run.model is not None
    assert lk.load(run.model).generate("the", max_new_tokens=1).tokens
    if name != "environment.json":
        assert Path("run", name).exists()


def test_a_run_whose_folder_is_removed_is_an_error(text: Path) -> None:
    def remove(what: str, done: int, total: int | None) -> None:
        del total
        if what == "training" and done == 2:
            shutil.rmtree("run")

    with pytest.raises(RunError, match=r"run/metrics\.jsonl: cannot be written: No such file"):
        lk.pretrain(text, out="run", **SIZES, **FEW | {"progress": remove})


@pytest.mark.parametrize("settings", [5, "training.steps=1", b"x"])
def test_settings_that_are_none_are_named(text: Path, settings: Any) -> None:
    with pytest.raises(InputError, match="settings: expected values by dotted key, got"):
        lk.pretrain(text, out="run", settings=settings, progress=False)


@pytest.mark.parametrize("folder", [5, b"x", None, ["run"]])
def test_a_run_that_is_no_path_is_named(folder: Any) -> None:
    with pytest.raises((InputError, RunError), match="expected"):
        lk.resume(folder, progress=False)


@pytest.mark.parametrize("verb", ["pretrain", "finetune"])
def test_a_run_reads_its_models_configuration_once(
    tmp_path: Path, text: Path, llama: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    family, reads = {"pretrain": Gpt2, "finetune": Llama}[verb], []
    original = family.read

    def read(self: Any, config: Any) -> Any:
        reads.append(config)
        return original(self, config)

    monkeypatch.setattr(family, "read", read)
    if verb == "pretrain":
        lk.pretrain(text, out="run", **SIZES, **FEW)
    else:
        lk.finetune(llama, rows(tmp_path / "qa.jsonl", TAUGHT), out="run", **FEW)
    assert len(reads) == 1


def test_a_function_hears_how_it_goes(text: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    lk.pretrain(text, out="run", **SIZES, **{**FEW, "progress": lambda *a: heard.append(a)})
    assert ("training", 4, 4) in heard


def test_settings_by_dotted_key_and_by_short_name_are_one(text: Path) -> None:
    run = lk.pretrain(
        text, out="run", settings={"optimizer.kind": "lion", "model.width": 16}, **{**SIZES, **FEW}
    )
    assert run.settings.optimizer.kind == "lion"
    assert run.settings.optimizer.beta2 == 0.99  # what is usual for that kind


def test_what_makes_no_sense_is_said(text: Path, llama: Path) -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown setting of a run 'stps'\. Did you mean 'steps'"
    ):
        lk.pretrain(text, stps=3)  # type: ignore[call-arg]  # the misspelling is the point
    with pytest.raises(
        ConfigError, match=r"among the arguments: training\.steps: expected a positive"
    ):
        lk.pretrain(text, steps=0)
    with pytest.raises(InputError, match="expected a model to start from"):
        lk.finetune(data=text)
    with pytest.raises(InputError, match="expected data to evaluate on"):
        lk.evaluate(llama)
    with pytest.raises(RunError, match="expected a run to resume"):
        lk.resume("nowhere")
    with pytest.raises(InputError, match="progress: expected True, False or a function"):
        lk.pretrain(text, progress=3)  # type: ignore[arg-type]  # the wrong type is the point


def test_b41_adapters_name_a_pulled_model_as_others_do_and_find_it(
    tmp_path: Path, llama: Path
) -> None:
    home = folder_of("hf:org/name@v2")
    home.parent.mkdir(parents=True)
    llama.rename(home)
    data = rows(tmp_path / "qa.jsonl", TAUGHT)
    run = lk.finetune("hf:org/name@v2", data, out="a", lora=2, **FEW)
    written = json.loads((run.model / "adapter_config.json").read_text())
    assert (written["base_model_name_or_path"], written["revision"]) == ("org/name", "v2")
    assert run.load().logits([3]).shape == (1, 61)


@pytest.mark.parametrize(
    ("base", "complaint"),
    [
        ("hf:org/none", "is not on this machine; run: lmkernel pull hf:org/none"),
        ("org/none", "no such folder or file: org/none; for the model of this name on a hub: hf:"),
        ("none", "unknown model 'none'"),
        ("a", "expected the model that the adapters are of, got 'a', which leads back"),
    ],
)
def test_m7_a_model_that_adapters_name_is_never_fetched_unasked(
    tmp_path: Path, llama: Path, base: str, complaint: str
) -> None:
    run = lk.finetune(llama, rows(tmp_path / "qa.jsonl", TAUGHT), out="a", lora=2, **FEW)
    file = run.model / "adapter_config.json"
    written = {**json.loads(file.read_text()), "base_model_name_or_path": base}
    file.write_text(json.dumps(written))
    with pytest.raises(CheckpointError, match=f"base_model_name_or_path: .*{complaint}"):
        lk.load(run)


@pytest.mark.parametrize("rate", [float("inf"), float("nan"), 0.0])
def test_a_rate_that_is_no_positive_number_is_refused(
    tmp_path: Path, llama: Path, rate: float
) -> None:
    data = rows(tmp_path / "qa.jsonl", TAUGHT)
    with pytest.raises(ConfigError, match="rate: expected a positive, finite number, got "):
        lk.finetune(llama, data, out="a", learning_rate=rate, **FEW)


def test_a_seed_beyond_64_bits_is_refused(tmp_path: Path, llama: Path) -> None:
    data = rows(tmp_path / "qa.jsonl", TAUGHT)
    with pytest.raises(ConfigError, match=r"seed: expected 0 to 2\*\*64 - 1, got "):
        lk.finetune(llama, data, out="a", **{**FEW, "seed": 2**64})


def test_what_the_last_step_made_nan_ends_no_run_well(tmp_path: Path, llama: Path) -> None:
    data = rows(tmp_path / "qa.jsonl", TAUGHT)
    with pytest.raises(NotFiniteError, match="step 1: expected a finite validation loss, got nan"):
        lk.finetune(llama, data, out="a", lora=2, learning_rate=1e300, **{**FEW, "steps": 1})
    assert not (tmp_path / "a/model").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([1], "expected a setting of the form key=value, got 1"),
        ([b"merge=true"], "expected a setting of the form key=value, got b'merge=true'"),
        ({1: 2}, "expected a dotted key such as optimizer.rate, got 1"),
        ({b"merge": True}, "expected a dotted key such as optimizer.rate, got b'merge'"),
        (np.array(3), "settings: expected values by dotted key, got array"),
        (3, "settings: expected values by dotted key, got 3"),
        ("", "settings: expected values by dotted key, got ''"),
    ],
)
def test_settings_that_are_none_are_refused(
    tmp_path: Path, llama: Path, settings: Any, said: str
) -> None:
    data = rows(tmp_path / "qa.jsonl", TAUGHT)
    with pytest.raises((ConfigError, InputError)) as caught:
        lk.finetune(llama, data, out="a", settings=settings, **FEW)
    assert said in str(caught.value)
