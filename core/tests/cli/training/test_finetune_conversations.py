"""Conversations in many forms, for models with and without a chat template, through the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from letters import letters
from small import small_config, write_small
from training_files import done, rows, said

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import open_model
from lmkernel.model import Model
from lmkernel.training.run.keywords import settings_of

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]
FEW = ("--steps", 1, "--batch", 2, "--truncate")
ALPACA = [{"instruction": f"{n}?", "input": "", "output": "yes", "id": n} for n in range(12)]
PAIRS = [{"prompt": f"{n}? ", "completion": "yes"} for n in range(12)]
ASKED = [{"role": "user", "content": "hi"}]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model without a chat template."""
    write_small(tmp_path / "llama", Model(load_backend("numpy"), small_config()), letters(None))
    return tmp_path / "llama"


def template_of(run: Path) -> str | None:
    return open_model(run / "model").tokenizer().chat_template


def heard(capsys: Capture, *arguments: object) -> str:
    """What a command that succeeds says on standard error, but for its steps."""
    capsys.readouterr()
    done(*arguments)
    err = capsys.readouterr().err
    return "".join(line for line in err.splitlines(keepends=True) if not line.startswith("step "))


@pytest.mark.parametrize("more", [(), ("--lora", 2), ("--lora", 2, "--merge")])
def test_a_model_without_a_template_gets_one_keeps_it_and_chats(
    tmp_path: Path, model: Path, capsys: Capture, more: tuple[Any, ...]
) -> None:
    data = rows(tmp_path / "a.jsonl", ALPACA)
    arguments = ("finetune", model, "--data", data, *FEW, "--out", tmp_path / "t", *more)
    assert heard(capsys, *arguments) == (
        f"{model} has no chat template; it gets the one named plain, and keeps it "
        "(--chat-template chooses another)\n"
        f"{data}: columns that are not used: id\n"
    )
    tokenizer = open_model(tmp_path / "t" / "model").tokenizer()
    end = tokenizer.decode(tokenizer.eos_ids[:1], skip_special=False)
    assert tokenizer.chat(ASKED) == f"<start><|user|>\nhi{end}\n<|assistant|>\n"
    done("chat", "hi", "--model", tmp_path / "t", "--max-new-tokens", 1)
    done("finetune", "--resume", tmp_path / "t", "--steps", 2, "--quiet")


def test_prompts_are_put_together_and_chat_says_what_to_do(
    tmp_path: Path, model: Path, capsys: Capture
) -> None:
    data = rows(tmp_path / "a.jsonl", PAIRS)
    assert heard(capsys, "finetune", model, "--data", data, *FEW, "--out", tmp_path / "t") == ""
    assert template_of(tmp_path / "t") is None
    got = said(capsys, "chat", "hi", "--model", tmp_path / "t")
    assert "the model has no chat template; use generate with plain text, or fine" in got


def test_a_template_in_a_file_is_kept_whatever_the_model_had(tmp_path: Path, model: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text("{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}")
    data = rows(tmp_path / "a.jsonl", PAIRS)
    base = ("finetune", "--data", data, *FEW, "--quiet")
    done(*base, model, "--chat-template", file, "--out", tmp_path / "a")
    assert template_of(tmp_path / "a") == file.read_text()
    done(*base, tmp_path / "a", "--chat-template", "plain", "--out", tmp_path / "b")
    assert "<|assistant|>" in str(template_of(tmp_path / "b"))
    done(*base, tmp_path / "a", "--out", tmp_path / "c")
    assert template_of(tmp_path / "c") == file.read_text()


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ("chatml", "chat template chatml: expected the tokenizer to have a special token that"),
        (
            "nowhere",
            "chat template: expected plain, chatml or a file, got nowhere: cannot be read: No such",
        ),
    ],
)
def test_a_template_that_cannot_end_an_answer_is_refused(
    tmp_path: Path, model: Path, capsys: Capture, asked: str, complaint: str
) -> None:
    data = rows(tmp_path / "a.jsonl", ALPACA)
    arguments = ("finetune", model, "--data", data, "--chat-template", asked)
    assert said(capsys, *arguments, "--out", tmp_path / "t").startswith(complaint)
    assert not (tmp_path / "t").exists()


def test_columns_are_named_and_which_turns_are_learned(
    tmp_path: Path, model: Path, capsys: Capture
) -> None:
    data = rows(tmp_path / "a.jsonl", ({"frage": "a", "antwort": "b"} for _ in range(12)))
    named = ("--column", "prompt=frage", "--column", "completion=antwort", "--turns", "last")
    done("finetune", model, "--data", data, *FEW, "--quiet", *named, "--out", tmp_path / "t")
    kept = settings_of({}, defaults={}, resume=tmp_path / "t").data
    assert dict(kept.columns) == {"prompt": "frage", "completion": "antwort"}
    assert kept.turns == "last"
    done("evaluate", model, "--objective", "instruction", "--data", data, "--truncate", *named[:4])
    wrong = ("finetune", model, "--data", data, "--out", tmp_path / "u", "--column")
    assert said(capsys, *wrong, "frage") == "--column: expected NAME=COLUMN, got 'frage'"
    assert "columns: expected names for some of text, " in said(capsys, *wrong, "asked=frage")


def test_the_first_row_that_is_not_understood_is_the_one_named(
    tmp_path: Path, model: Path, capsys: Capture
) -> None:
    data = rows(tmp_path / "a.jsonl", ({"x": n} for n in range(20)))
    got = said(capsys, "finetune", model, "--data", data, "--out", tmp_path / "t")
    assert got.startswith(f"{data}: line 1: expected the column messages")
    data = rows(tmp_path / "a.jsonl", [*PAIRS[:3], *({"x": n} for n in range(20))])
    got = said(capsys, "finetune", model, "--data", data, "--out", tmp_path / "t")
    assert got.startswith(f"{data}: line 4: expected the column messages")


def test_b37_files_of_a_folder_that_are_not_read_are_named(
    tmp_path: Path, model: Path, capsys: Capture
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "qa.json").write_text(json.dumps(PAIRS))
    (folder / "notes.docx").touch()
    arguments = ("finetune", model, "--data", folder, *FEW, "--out")
    assert heard(capsys, *arguments, tmp_path / "t") == f"{folder}: not read: notes.docx\n"
    done(*arguments, tmp_path / "u", "--quiet")
    assert capsys.readouterr().err == f"{folder}: not read: notes.docx\n"


@pytest.mark.parametrize("command", ["finetune", "evaluate"])
@pytest.mark.parametrize("config", [False, True])
def test_without_data_a_command_says_so(
    tmp_path: Path, model: Path, capsys: Capture, command: str, config: bool
) -> None:
    file = tmp_path / "s.toml"
    file.write_text("[training]\nbatch = 2\n")
    more = ("--config", file) if config else ()
    got = said(capsys, command, model, *more)
    what = {"finetune": "train", "evaluate": "evaluate"}[command]
    assert got.startswith(f"expected data to {what} on: as an argument (--data), or as data.train")


def test_an_objective_that_a_family_lacks_names_those_that_have_it(
    tmp_path: Path, model: Path, capsys: Capture
) -> None:
    data = rows(tmp_path / "a.jsonl", PAIRS)
    more = ("--objective", "tagging", "--out", tmp_path / "t")
    got = said(capsys, "finetune", model, "--data", data, *more)
    fitting = "causal or instruction or classification or scores"
    assert f"a llama model is trained by {fitting}; tagging is for bert, " in got
