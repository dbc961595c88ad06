"""A run put together from its settings, before its first step and from a checkpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from letters import letters
from small import small_config, write_small
from small_bert import BERT
from training_files import rows, story

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.errors import (
    CapabilityError,
    CheckpointError,
    ConfigError,
    InputError,
    RunError,
    UnknownNameError,
)
from lmkernel.families.bert import Bert
from lmkernel.families.family import HfConfig
from lmkernel.families.names import from_ours
from lmkernel.model import Model
from lmkernel.progress import Progress
from lmkernel.training.config import LoraConfig
from lmkernel.training.data.vocabulary import train_tokenizer
from lmkernel.training.run import session as module
from lmkernel.training.run.folder import open_run
from lmkernel.training.run.model import model_of
from lmkernel.training.run.recording import Best
from lmkernel.training.run.results import save_checkpoint
from lmkernel.training.run.session import evaluate_session, prepare_session
from lmkernel.training.run.settings import DataSettings, ModelSettings, RunSettings, StepSettings

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.training.run.session import Session

LABELLED = [{"text": f"row {n}", "label": ("no", "yes")[n % 2]} for n in range(12)]
TAUGHT = [{"prompt": "hi", "completion": "yo" * (n % 3 + 1)} for n in range(12)]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "home"))


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return story(tmp_path / "story.txt", 60)


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    write_small(tmp_path / "llama", Model(load_backend("numpy"), small_config()), letters())
    return tmp_path / "llama"


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A BERT with the head of masked language modelling."""
    tokenizer = train_tokenizer(["rows of words"] * 3, 270, Bert().special_tokens())
    config = {
        **BERT,
        "vocab_size": tokenizer.vocab_size,
        "architectures": ["BertForMaskedLM"],
    }
    model = Model(load_backend("numpy"), Bert().read(HfConfig(config)))
    tensors = from_ours(model.initial(4), Bert().rules(model.config), model.declare())
    write_directory(tmp_path / "bert", config=config, tensors=tensors, tokenizer=tokenizer)
    return tmp_path / "bert"


def settings(source: Path, /, *, start: Path | str = "", **changes: Any) -> RunSettings:
    model = ModelSettings(
        start=str(start), width=16, layers=1, heads=2, context=16, vocab=280, dropout=0.1
    )
    base = RunSettings(
        model=model,
        data=DataSettings(train=str(source)),
        training=StepSettings(steps=4, batch=2, seed=6),
    )
    return replace(base, **changes)


def put(asked: RunSettings) -> Session:
    return prepare_session(asked)


# what a run starts from


def test_a_new_model_has_a_vocabulary_learnt_from_its_data(text: Path) -> None:
    origin = model_of(settings(text), Progress())
    assert (origin.config.embedding.vocab, origin.config.context, origin.files) == (280, 16, None)
    assert len(origin.tokenizer.encode("the lantern")) < len("the lantern")


def test_a_new_model_may_take_the_tokenizer_of_a_folder(text: Path, llama: Path) -> None:
    model = ModelSettings(tokenizer=str(llama), width=16, heads=2, context=8)
    session = put(settings(text, model=model))
    assert session.origin.config.embedding.vocab == 59
    assert session.origin.tokenizer.encode("ab") == letters().encode("ab")


def test_a_new_encoder_learns_the_tokens_of_encoders(text: Path) -> None:
    model = ModelSettings(family="bert", width=16, heads=2, layers=1, context=16, vocab=280)
    session = put(settings(text, model=model, objective="masked"))
    assert session.origin.tokenizer.special_id("mask_token") is not None
    assert session.data.validation_bytes == 0  # its loss is of hidden tokens alone


def test_a_model_in_files_brings_context_vocabulary_and_labels(text: Path, llama: Path) -> None:
    origin = model_of(settings(text, start=llama), Progress())
    assert (origin.config.context, origin.config.embedding.vocab, origin.labels) == (48, 61, ())
    config = json.loads((llama / "config.json").read_text())
    config["id2label"] = {"0": "no", "1": "yes"}
    (llama / "config.json").write_text(json.dumps(config))
    assert model_of(settings(text, start=llama), Progress()).labels == ("no", "yes")


def test_weights_are_those_in_the_files(text: Path, llama: Path) -> None:
    session = put(settings(text, start=llama))
    whole = evaluate_session(settings(text, start=llama))
    fresh = Model(load_backend("numpy"), small_config()).initial(6)
    name = "decoder.layers.0.attention.q.weight"
    assert (session.weights[name] != fresh[name]).any()
    assert whole["targets"] > session.data.validation_bytes  # all of the data, not a share


def test_first_weights_follow_from_the_seed(text: Path) -> None:
    one, same = put(settings(text)), put(settings(text))
    other = put(settings(text, training=StepSettings(steps=4, batch=2, seed=7)))
    for name, value in one.weights.items():
        np.testing.assert_array_equal(same.weights[name], value)
    name = "embedding.tokens.weight"
    assert (other.weights[name] != one.weights[name]).any()
    assert other.data.training.digest != one.data.training.digest


def test_another_head_starts_anew_on_the_same_encoder(tmp_path: Path, bert: Path) -> None:
    data = rows(tmp_path / "a.jsonl", LABELLED)
    session = put(settings(data, start=bert, objective="classification"))
    assert session.data.labels == ("no", "yes")
    assert session.origin.document["id2label"] == {"0": "no", "1": "yes"}
    base = put(settings(story(tmp_path / "s.txt"), start=bert, objective="masked"))
    name = "encoder.layers.0.attention.q.weight"
    np.testing.assert_array_equal(session.weights[name], base.weights[name])
    assert session.weights["head.weight"].shape == (2, 24)


def test_adapters_are_refused_beneath_a_head_that_starts_anew(tmp_path: Path, bert: Path) -> None:
    asked = settings(
        rows(tmp_path / "a.jsonl", LABELLED),
        start=bert,
        objective="classification",
        lora=LoraConfig(rank=2),
    )
    with pytest.raises(ConfigError, match=rf"lora: {bert} has no 'head\.[a-z.]+' of this shape"):
        put(asked)


# what is refused before the first step


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"trackers": ("diaru",)}, "unknown tracker 'diaru'"),
        ({"backend": "nunpy"}, "unknown backend 'nunpy'. Did you mean 'numpy'"),
        ({"model": ModelSettings(family="gtp2")}, "unknown family of new models 'gtp2'"),
    ],
)
def test_an_unknown_name_is_refused_before_the_data_are_read(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UnknownNameError, match=complaint):
        put(settings(tmp_path / "nowhere", **changes))


def test_an_objective_that_does_not_fit_is_refused_before_the_data_are_read(
    tmp_path: Path, llama: Path
) -> None:
    for start in (llama, ""):
        with pytest.raises(ConfigError, match=r"objective 'masked': a [a-z0-9]+ model is trained"):
            put(settings(tmp_path / "nowhere", start=start, objective="masked"))


def test_a_precision_that_the_backend_lacks_is_refused(text: Path) -> None:
    narrow = StepSettings(precision="bfloat16")
    with pytest.raises(CapabilityError, match="'numpy' declares the dtypes float32, float64"):
        put(settings(text, backend="numpy", training=narrow))


@pytest.mark.parametrize("limit", [48, 40])
def test_examples_within_the_context_are_as_long_as_asked(
    text: Path, llama: Path, limit: int
) -> None:
    data = DataSettings(train=str(text), context=limit)
    session = put(settings(text, start=llama, data=data))
    assert session.data.training.at(0)["inputs"].shape == (2, limit)


def test_examples_beyond_the_context_are_refused(text: Path, llama: Path) -> None:
    data = DataSettings(train=str(text), context=49)
    with pytest.raises(ConfigError, match=r"data\.context: .* context of 48, got 49"):
        put(settings(text, start=llama, data=data))


def test_a_single_example_cannot_be_held_out(tmp_path: Path, llama: Path) -> None:
    data = rows(tmp_path / "one.jsonl", TAUGHT[:1])
    with pytest.raises(InputError, match=r"one\.jsonl: expected at least two examples"):
        put(settings(data, start=llama, objective="instruction"))


# from a checkpoint


def saved(session: Session, folder: Path) -> Path:
    """The checkpoint after one step."""
    with open_run(folder) as run:
        state = session.trainer.fit(session.begin(), session.data.training, until=1)
        save_checkpoint(session, run, state, Best({}))
        latest = run.latest()
    assert latest is not None
    return latest


@pytest.mark.parametrize("lora", [None, LoraConfig(rank=2)])
def test_a_checkpoint_gives_the_state_that_was_saved(
    tmp_path: Path, llama: Path, lora: LoraConfig | None
) -> None:
    data = rows(tmp_path / "a.jsonl", TAUGHT)
    asked = settings(data, start=llama, objective="instruction", lora=lora)
    session = put(asked)
    checkpoint = saved(session, tmp_path / "run")
    expected = session.trainer.fit(session.begin(), session.data.training, until=1)
    state, facts = put(asked).resume(checkpoint)
    assert (state.step, facts.step, facts.facts["backend"]) == (1, 1, "numpy")
    for take in (session.trainer.trained, session.trainer.optimizer_values):
        got = take(state)
        for name, value in take(expected).items():
            np.testing.assert_array_equal(got[name], value, err_msg=name)


def test_other_data_than_at_the_start_are_refused(tmp_path: Path, text: Path) -> None:
    checkpoint = saved(put(settings(text)), tmp_path / "run")
    text.write_text(text.read_text() + "One more line.\n")
    with pytest.raises(RunError, match=r"step-000001: expected the data that the run began with"):
        put(settings(text)).resume(checkpoint)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"lora": LoraConfig(rank=3)}, r"step-000001: .*lora_a: expected the shape \(3,"),
        ({"lora": None}, r"step-000001: what is trained: .*that lacks 'decoder"),
    ],
)
def test_a_checkpoint_of_other_adapters_is_refused(
    tmp_path: Path, llama: Path, changes: dict[str, Any], complaint: str
) -> None:
    data = rows(tmp_path / "a.jsonl", TAUGHT)
    asked = settings(data, start=llama, objective="instruction", lora=LoraConfig(rank=2))
    checkpoint = saved(put(asked), tmp_path / "run")
    with pytest.raises(CheckpointError, match=complaint):
        put(replace(asked, **changes)).resume(checkpoint)


def test_a_checkpoint_of_another_size_is_refused(tmp_path: Path, text: Path) -> None:
    asked = settings(text)
    checkpoint = saved(put(asked), tmp_path / "run")
    wider = replace(asked, model=replace(asked.model, hidden=24))
    with pytest.raises(CheckpointError, match=r"c_fc\.weight': .* expects the shape \(16, 24\)"):
        put(wider).resume(checkpoint)


def test_a_new_model_that_the_machine_cannot_hold_is_refused(
    text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "whole_memory", lambda: 1000)
    said = r"a new model of \S+ parameters: expected weights that this machine's memory of 1\S* kB"
    with pytest.raises(ConfigError, match=said):
        put(settings(text))
