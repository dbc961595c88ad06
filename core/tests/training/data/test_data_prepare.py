"""From settings to batches: each objective, the same in every process, at any moment."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from letters import enclosed, letters

from lmkernel.errors import ConfigError, InputError, UnknownNameError
from lmkernel.families.bert import Bert
from lmkernel.families.t5 import T5
from lmkernel.training.data import Batches, Preparation, RunData
from lmkernel.training.data.span_corruption import SENTINELS
from lmkernel.training.data.vocabulary import train_tokenizer
from lmkernel.training.objectives import OBJECTIVES
from lmkernel.training.run.settings import DataSettings

if TYPE_CHECKING:
    from lmkernel.tokenizers import Tokenizer

ROWS = [
    {
        "text": f"row {n} " * (n % 5 + 1),
        "label": ("bad", "good")[n % 3 == 0],
        "prompt": "hi",
        "completion": "yo" * (n % 4 + 1),
        "source": "ab" * (n % 3 + 1),
        "target": "ba",
        "tokens": ["ab", "c"],
        "tags": ["O", ("bad", "good")[n % 3 == 0]],
        "question": "q?",
        "context": "cd" * (n % 4 + 1),
        "answers": "cd",
        "second": "ef",
        "score": n % 2,
    }
    for n in range(40)
]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "home"))
    return written(tmp_path / "a.jsonl", ROWS)


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def tokenizer_of(objective: str) -> Tokenizer:
    if objective in ("masked", "classification", "tagging", "answers", "scores"):
        return train_tokenizer(["q"], 261, Bert().special_tokens())
    if objective == "denoising":
        return train_tokenizer(["q"], 400, T5().special_tokens(), extra=SENTINELS)
    return train_tokenizer(["q"], 257) if objective == "causal" else letters()


def asked(objective: str, source: object, **changes: Any) -> Preparation:
    settings = {"context": 32, "truncate": True, **changes}
    sizes = {"batch": 4, "seed": 9}
    sizes |= {name: settings.pop(name) for name in ("batch", "multiple") if name in settings}
    data = DataSettings(train=str(source), **settings)
    tokenizer = tokenizer_of(objective)
    return Preparation(data=data, tokenizer=tokenizer, vocab=tokenizer.vocab_size, **sizes)


def hash_of(batches: Batches, first: int, count: int) -> str:
    state = hashlib.sha256()
    for index in range(first, first + count):
        for name, array in sorted(batches.at(index).items()):
            state.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
    return state.hexdigest()


NAMES = {
    "causal": {"inputs"},
    "masked": {"inputs", "positions", "segments"},
    "instruction": {"inputs", "positions"},
    "classification": {"inputs", "positions", "segments"},
    "tagging": {"inputs", "positions", "segments"},
    "answers": {"inputs", "positions", "segments"},
    "scores": {"inputs", "positions", "segments"},
    "sequences": {"inputs", "positions", "target", "target_positions"},
    "denoising": {"inputs", "positions", "target", "target_positions"},
}


def test_every_objective_is_tested() -> None:
    # those of sounds want a model that hears, and have a file of their own
    assert {*NAMES, "transcripts"} == set(OBJECTIVES)


@pytest.mark.parametrize("objective", NAMES)
def test_objective_gives_training_and_validation(objective: str, source: Path) -> None:
    made = asked(objective, source).split(objective)
    for batches in (made.training, made.validation):
        batch = batches.at(0)
        assert set(batch) == NAMES[objective] | {"targets"}
        assert len(batch["inputs"]) == 4
        assert (batch["targets"] >= 0).any()
    assert made.training.digest != made.validation.digest
    assert len(made.validation) < len(made.training)
    labels = {
        "classification": ("bad", "good"),
        "tagging": ("O", "bad", "good"),
        "scores": ("LABEL_0",),
    }
    assert made.labels == labels.get(objective, ())


@pytest.mark.parametrize("objective", ["causal", "instruction", "classification", "sequences"])
def test_training_alone_is_shuffled(objective: str, source: Path) -> None:
    made = asked(objective, source, batch=3).split(objective)
    for batches, same in ((made.training, False), (made.validation, True)):
        count = len(batches)
        assert (hash_of(batches, 0, count) == hash_of(batches, count, count)) is same


@pytest.mark.parametrize("objective", NAMES)
def test_resuming_in_an_epoch_is_the_undisturbed_run(objective: str, source: Path) -> None:
    first = asked(objective, source).split(objective).training
    steps = 2 * len(first)
    undisturbed = [hash_of(first, index, 1) for index in range(steps)]
    middle = len(first) // 2
    resumed = asked(objective, source).split(objective).training
    rest = [hash_of(resumed, index, 1) for index in range(middle, steps)]
    assert rest == undisturbed[middle:]
    assert resumed.digest == first.digest


CODE = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[2] / "support")]!r}
from test_data_prepare import NAMES, asked, hash_of
for objective in NAMES:
    made = asked(objective, sys.argv[1]).split(objective)
    print(objective, made.training.digest, hash_of(made.training, 0, 2 * len(made.training)))
"""


def test_two_processes_give_the_same_batches(source: Path) -> None:
    outputs = [
        subprocess.run(
            [sys.executable, "-c", CODE, str(source)], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert outputs[0].count("\n") == len(NAMES)
    assert outputs[0] == outputs[1]


def test_validation_may_be_another_source(source: Path) -> None:
    other = written(source.with_name("b.jsonl"), ROWS[:7])
    made = asked("classification", source, validation=str(other), batch=1).split("classification")
    assert (len(made.training), len(made.validation)) == (40, 7)
    texts = asked("causal", source, validation=str(other)).split("causal")
    assert texts.validation_bytes == sum(len(row["text"]) for row in ROWS[:7])


def test_label_of_validation_alone_is_named(source: Path) -> None:
    other = written(source.with_name("b.jsonl"), [{"text": "x", "label": "ugly"}])
    with pytest.raises(InputError, match=r"b\.jsonl: line 1: expected one of the labels bad, good"):
        asked("classification", source, validation=str(other)).split("classification")


def test_documents_begin_as_a_prompt_does_and_cost_what_they_cost_alone(source: Path) -> None:
    """A tokenizer's `<start>` stands before each document, as before a prompt, for nothing."""
    written(source, [{"text": "ab"}, {"text": "cde"}])
    sizes = {"batch": 1, "tokenizer": enclosed(), "vocab": 61}
    data = DataSettings(train=str(source), context=16)
    made = Preparation(data=data, **sizes).whole("causal").validation
    batch = made.at(0)
    whole = [*enclosed().encode("ab"), *enclosed().encode("cde")]
    assert batch["inputs"][0, : len(whole) - 1].tolist() == whole[:-1]
    said = [token if token != 1 else -1 for token in whole[1:]]
    assert batch["targets"][0, : len(said)].tolist() == said


def targets_of(made: RunData) -> int:
    batches = made.validation
    return sum(int((batches.at(n)["targets"] >= 0).sum()) for n in range(len(batches)))


def test_whole_source_is_evaluated_in_order(source: Path) -> None:
    made = asked("causal", source).whole("causal")
    total = sum(len(row["text"]) + 1 for row in ROWS)
    assert targets_of(made) == total - 1
    assert made.validation_bytes == total - len(ROWS)
    ids = np.concatenate([made.validation.at(n)["inputs"].ravel() for n in range(2)])
    text = tokenizer_of("causal").decode(ids.tolist(), skip_special=False)
    assert text.startswith("row 0 <|endoftext|>row 1 row 1 <|endoftext|>")
    assert targets_of(asked("classification", source).whole("classification")) == 40


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    rows = [{"first": "a", "then": "b", "kind": n % 2} for n in range(4)]
    path = written(tmp_path / "a.jsonl", rows)
    columns = {"text": "first", "second": "then", "label": "kind"}
    made = asked("classification", path, columns=columns).whole("classification")
    assert made.labels == ("0", "1")
    assert made.validation.at(0)["segments"][0, :5].tolist() == [0, 0, 0, 1, 1]


def test_default_corpus(source: Path) -> None:
    made = asked("causal", "python-topics", context=256, batch=8).split("causal")
    tokens = targets_of(made)
    assert 0.09 < tokens / (tokens + 8 * 256 * len(made.training)) < 0.11
    assert (source.parent / "home" / "tokens").is_dir()


def test_unknown_objective_is_named(source: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown objective 'cause'.*Did you mean 'causal'"):
        asked("causal", source).split("cause")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 0}, r"Preparation\.batch: expected a positive integer, got 0"),
        ({"context": -1}, r"DataSettings\.context: expected 0 or more, got -1"),
        ({"validation_share": 1}, r"DataSettings\.validation_share: expected .*, got 1"),
        ({"columns": {"txt": "a"}}, r"DataSettings\.columns: expected names for some of text"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        asked("causal", "x", **changes)


@pytest.mark.parametrize("text", [" ", " \n"])
def test_documents_of_too_few_tokens_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "blank.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=r"blank\.txt: expected at least two tokens"):
        asked("causal", path).split("causal")
