"""What the commands that train refuse: in one line that names it, and with nothing lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from training_files import contents, done, pretraining, rows, said, story

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TAUGHT = [{"prompt": f"Name {n}", "completion": "stone"} for n in range(12)]
LABELLED = [{"text": "a river", "label": "ws"[n % 2]} for n in range(16)]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LMKERNEL_DEBUG", raising=False)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return story(tmp_path / "story.txt")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a run would be."""
    return tmp_path / "run"


@pytest.fixture
def run(text: Path, out: Path, capsys: Capture) -> Path:
    """A finished run."""
    done(*pretraining(text, out))
    capsys.readouterr()
    return out


@pytest.fixture
def encoder(tmp_path: Path, text: Path, capsys: Capture) -> Path:
    """A small BERT with a head of two classes."""
    done(*pretraining(text, tmp_path / "b", "--family", "bert", "--objective", "masked"))
    data = rows(tmp_path / "known.jsonl", LABELLED)
    base = ("finetune", tmp_path / "b" / "model", "--objective", "classification", "--data", data)
    done(*base, "--steps", "1", "--quiet", "--out", tmp_path / "c")
    capsys.readouterr()
    return tmp_path / "c" / "model"


def untouched(run: Path, capsys: Capture, *arguments: object) -> str:
    """What is said by a command that must leave a run as it is."""
    before = contents(run)
    complaint = said(capsys, *arguments)
    assert contents(run) == before
    return complaint


# settings


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
        (("--steps", "0"), "on the command line: training.steps: expected a positive integer"),
        (("--set", "training.batchs=4"), "on the command line: training.batchs: unknown key"),
        (("--set", "steps"), "expected a setting of the form key=value, got 'steps'"),
        (("--dtype", "float16"), "on the command line: training.precision: expected "),
        (("--dtype", "bfloat16"), "backend 'numpy' declares the dtypes float32, float64"),
        (("--backend", "nunpy"), "unknown backend 'nunpy'. Did you mean 'numpy'?"),
        (("--tracker", "diaru"), "unknown tracker 'diaru'."),
        (("--family", "gtp2"), "unknown family of new models 'gtp2'. Did you mean 'gpt2'?"),
        (("--set", "optimizer.kind=adan"), "unknown optimizer 'adan'. Did you mean 'adam'?"),
        (("--objective", "masked"), "objective 'masked': a gpt2 model is trained by causal"),
        (("--set", "lora.rank=2"), "expected none for a new model: adapters need model.start"),
        (("--start", "./nowhere"), "no such folder or file: ./nowhere"),
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


# data


def _unreadable(path: Path) -> None:
    path.symlink_to(path)  # a file that cannot be opened, whoever asks


@pytest.mark.parametrize(
    ("name", "made", "complaint"),
    [
        ("a.txt", b"", "a.txt: expected data, got an empty file"),
        ("a.txt", b"abc\0def", "a.txt: expected text, got a binary file: a zero byte at offset 3"),
        ("a.txt", b"caf\xe9", "a.txt: expected UTF-8, got the byte 0xE9 at offset 3"),
        ("a.txt", _unreadable, "a.txt: "),
        ("a.txt", None, "a.txt: no such file; expected a file, a folder or one of python-topics"),
        (
            "a.jsonl",
            b'{"text": "one"}\n{"text": }\n',
            "a.jsonl: line 2: expected a JSON object, Expecting value at character 10",
        ),
        ("a.jsonl", b'{"text": "one"}\n[]\n', "a.jsonl: line 2: expected a JSON object, got list"),
        (
            "a.jsonl",
            b'{"text": "one"}\n{"words": "two"}\n',
            "a.jsonl: line 2: expected a column 'text', got the columns words",
        ),
        (
            "a.csv",
            b"words\none\n",
            "a.csv: line 2: expected a column 'text', got the columns words",
        ),
        ("a.csv", b"text,n\none\n", "a.csv: line 2: expected 2 values, one for each of text, n"),
    ],
)
def test_bad_data_are_named_with_their_place(
    tmp_path: Path,
    out: Path,
    capsys: Capture,
    name: str,
    made: bytes | Callable[[Path], None] | None,
    complaint: str,
) -> None:
    data = tmp_path / name
    if isinstance(made, bytes):
        data.write_bytes(made)
    elif made is not None:
        made(data)
    assert said(capsys, *pretraining(data, out)).startswith(f"{tmp_path}/{complaint}")
    assert not out.exists()


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"prompt": "a"}, "line 13: expected a column "),
        ({"prompt": "a", "completion": 3}, "line 13: expected "),
        ({"prompt": "a", "completion": "long " * 40}, "line 13: expected at most 17 tokens"),
    ],
)
def test_a_bad_instruction_is_named_with_its_line(
    tmp_path: Path, run: Path, capsys: Capture, row: dict[str, Any], complaint: str
) -> None:
    with_template(run / "model")
    data = rows(tmp_path / "a.jsonl", [*TAUGHT, row])
    got = said(capsys, "finetune", run / "model", "--data", data, "--out", tmp_path / "t")
    assert got.startswith(f"{data}: {complaint}")


def with_template(model: Path) -> None:
    """A chat template that only joins."""
    (model / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"text": "x", "label": "z"}, "line 2: expected one of the labels s, w in the column "),
        ({"text": "x", "label": 1.5}, "line 2: expected a text or a whole number in the column "),
        ({"text": "x"}, "line 2: expected a column 'label'"),
        ({"text": "long " * 40, "label": "w"}, "line 2: expected at most 16 tokens"),
    ],
)
def test_a_label_outside_the_models_is_named_with_its_line(
    tmp_path: Path, encoder: Path, capsys: Capture, row: dict[str, Any], complaint: str
) -> None:
    data = rows(tmp_path / "a.jsonl", [LABELLED[0], row, LABELLED[1]])
    for command in (
        ("finetune", encoder, "--out", tmp_path / "t"),
        ("evaluate", encoder),
    ):
        got = said(capsys, *command, "--objective", "classification", "--data", data)
        assert got.startswith(f"{data}: {complaint}")


def test_a_token_outside_the_vocabulary_is_refused(
    tmp_path: Path, text: Path, run: Path, capsys: Capture
) -> None:
    """Of a model whose tokenizer knows more tokens than its embedding has."""
    done(*pretraining(text, tmp_path / "more", "--vocab", "300"))
    tokenizer = tmp_path / "more" / "model" / "tokenizer.json"
    (run / "model" / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    for command in (("pretrain", "--out", tmp_path / "t", "--start"), ("evaluate",)):
        got = said(capsys, *command, run / "model", "--data", text)
        assert "expected tokens in 0 … 279, got 2" in got


def test_a_context_beyond_the_models_is_refused(
    tmp_path: Path, text: Path, run: Path, capsys: Capture
) -> None:
    expected = "data.context: expected at most the model's context of 16, got 17"
    base = ("finetune", run / "model", "--objective", "causal", "--data", text)
    assert said(capsys, *base, "--set", "data.context=17", "--out", tmp_path / "t") == expected
    assert said(capsys, "evaluate", run / "model", "--data", text, "--context", "17") == expected


# models


def test_commands_want_a_model(text: Path, capsys: Capture) -> None:
    assert said(capsys, "finetune", "--data", text).startswith("expected a model to start from")
    assert said(capsys, "evaluate", "--data", text).startswith("expected a model to evaluate")


def test_evaluation_wants_data(run: Path, capsys: Capture) -> None:
    assert said(capsys, "evaluate", run / "model").startswith("expected data to evaluate on")


def test_a_model_without_a_tokenizer_is_named(
    tmp_path: Path, text: Path, run: Path, capsys: Capture
) -> None:
    tokenizer = run / "model" / "tokenizer.json"
    tokenizer.unlink()
    base = ("--objective", "causal", "--data", text)
    got = said(capsys, "finetune", run / "model", *base, "--out", tmp_path / "t")
    assert got == f"{tokenizer}: the model has no tokenizer.json, so no tokenizer"
    assert got == said(capsys, "evaluate", run / "model", *base)


@pytest.mark.parametrize("command", ["finetune", "evaluate"])
@pytest.mark.parametrize("objective", ["masked", "classification"])
def test_an_objective_that_does_not_fit_the_model_is_refused(
    text: Path, run: Path, capsys: Capture, command: str, objective: str
) -> None:
    got = said(capsys, command, run / "model", "--objective", objective, "--data", text)
    assert got == f"objective '{objective}': a gpt2 model is trained by causal or instruction"


def test_adapters_are_refused_where_the_model_lacks_the_head(
    tmp_path: Path, encoder: Path, capsys: Capture
) -> None:
    data = rows(tmp_path / "a.jsonl", LABELLED)
    base = ("--objective", "classification", "--lora", "2", "--data", data)
    got = said(capsys, "finetune", tmp_path / "b" / "model", *base, "--out", tmp_path / "t")
    assert got.startswith(f"lora: {tmp_path / 'b' / 'model'} has no 'head.")
    done("finetune", encoder, *base, "--steps", "1", "--quiet", "--out", tmp_path / "t")


# folders


def test_a_new_run_does_not_begin_in_the_folder_of_another(
    text: Path, run: Path, capsys: Capture
) -> None:
    got = untouched(run, capsys, *pretraining(text, run))
    assert got == f"{run}: expected a new or empty folder; resume the run, or name another"


def test_two_runs_do_not_share_a_folder(text: Path, run: Path, capsys: Capture) -> None:
    expected = f"{run}: another process is running in this folder"
    with FileLock(run / ".lock"):
        for arguments in (pretraining(text, run), ["pretrain", "--resume", str(run)]):
            assert untouched(run, capsys, *arguments) == expected


def test_a_file_is_no_folder(text: Path, capsys: Capture) -> None:
    assert said(capsys, *pretraining(text, text)).startswith(f"{text}: expected a folder")


@pytest.mark.parametrize("made", [False, True])
def test_only_a_run_can_be_resumed(out: Path, capsys: Capture, *, made: bool) -> None:
    if made:
        out.mkdir()
    expected = f"{out}: expected a run to resume, got no run.toml"
    assert said(capsys, "pretrain", "--resume", out) == expected
    assert out.exists() == made


@pytest.mark.parametrize("flags", [("--config", "x.toml"), ("--out", "elsewhere")])
def test_a_resumed_run_has_its_own_settings_and_folder(
    run: Path, capsys: Capture, flags: tuple[str, ...]
) -> None:
    got = untouched(run, capsys, "pretrain", "--resume", run, *flags)
    assert got == "--resume: the folder says what runs; leave out --config and --out"


def test_a_resumed_run_has_its_own_model(run: Path, capsys: Capture) -> None:
    got = untouched(run, capsys, "finetune", run / "model", "--resume", run)
    assert got == "--resume: the folder says which model; leave out MODEL"


# checkpoints of something else


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("width = 16", "width = 32", "tensor 'transformer.wte.weight': the configuration ex"),
        ("layers = 1", "layers = 2", "the tensor 'transformer.h.1.ln_1.weight' is missing"),
        ('family = "gpt2"', 'family = "llama"', "the tensor 'model.embed_tokens.weight' is miss"),
        ('kind = "adamw"', 'kind = "lion"', "the optimizer's state: expected the names that"),
        ('kind = "adamw"', 'kind = "adafactor"', "the optimizer's state: expected the names that"),
        ("seed = 0", "seed = 1", "expected the data that the run began with, got others"),
        ("batch = 2", "batch = 3", "expected the data that the run began with, got others"),
    ],
)
def test_a_run_whose_settings_were_edited_does_not_go_on(
    run: Path, capsys: Capture, old: str, new: str, complaint: str
) -> None:
    settings = run / "run.toml"
    settings.write_text(settings.read_text().replace(old, new).replace("steps = 4", "steps = 6"))
    got = untouched(run, capsys, "pretrain", "--resume", run, "--quiet")
    assert got.startswith(f"{run / 'checkpoints' / 'step-000004'}: {complaint}")


def test_a_run_whose_data_changed_does_not_go_on(text: Path, run: Path, capsys: Capture) -> None:
    text.write_text(text.read_text() + "The end.\n")
    got = untouched(run, capsys, "pretrain", "--resume", run, "--steps", "6", "--quiet")
    assert "step-000004: expected the data that the run began with, got others" in got


def test_a_damaged_checkpoint_is_named(run: Path, capsys: Capture) -> None:
    file = run / "checkpoints" / "step-000004" / "trainer" / "optimizer.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    got = untouched(run, capsys, "pretrain", "--resume", run, "--steps", "6", "--quiet")
    assert got.startswith(f"{file}: ")


# what goes wrong on the way


def test_a_loss_that_is_no_number_stops_and_names_the_last_good_checkpoint(
    text: Path, out: Path, capsys: Capture
) -> None:
    more = ("--rate", "1e30", "--set", "training.clip=0", "--set", "training.checkpoint_every=1")
    got = said(capsys, *pretraining(text, out, *more, "--set", "schedule.warmup=0"))
    assert got.startswith("step 2, batch 1: expected a finite loss and gradient, got a loss of nan")
    kept = out / "checkpoints" / "step-000001"
    assert f"; the last checkpoint is {kept}; try a lower rate" in got
    assert [path.name for path in kept.parent.iterdir()] == ["step-000001"]
    assert said(capsys, "pretrain", "--resume", out, "--quiet") == got


def test_a_loss_that_is_no_number_before_any_checkpoint_says_so(
    text: Path, out: Path, capsys: Capture
) -> None:
    more = ("--rate", "1e30", "--set", "training.clip=0", "--set", "schedule.warmup=0")
    got = said(capsys, *pretraining(text, out, *more))
    assert "; no checkpoint was written yet; try a lower rate" in got
    done("pretrain", "--resume", out, "--rate", "0.001", "--quiet")


@contextmanager
def no_room_for(*parts: str) -> Iterator[None]:
    """A disk that is full when it comes to the file whose path has these parts."""

    def refuse(handle: int, fsync: Callable[[int], None] = os.fsync) -> None:
        path = str(Path(f"/proc/self/fd/{handle}").readlink())
        if all(part in path for part in parts):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        yield


@pytest.mark.parametrize(
    "file", ["model.safetensors", "config.json", "optimizer.safetensors", "state.json"]
)
def test_a_full_disk_leaves_the_checkpoint_before_and_the_run_goes_on_from_it(
    text: Path, out: Path, capsys: Capture, file: str
) -> None:
    with no_room_for("step-000004", file):
        got = said(capsys, *pretraining(text, out))
    kept = out / "checkpoints" / "step-000002"
    assert got == (
        f"{out / 'checkpoints' / 'step-000004'}: cannot be written: No space left on device; "
        f"the last checkpoint is {kept}"
    )
    assert [path.name for path in kept.parent.iterdir()] == ["step-000002"]
    done("pretrain", "--resume", out, "--quiet")
    done(*pretraining(text, out.parent / "calm"))
    assert contents(out / "model") == contents(out.parent / "calm" / "model")


def test_a_disk_that_is_full_at_the_model_keeps_the_last_checkpoint(
    text: Path, out: Path, capsys: Capture
) -> None:
    with no_room_for(str(out / ".model")):
        got = said(capsys, *pretraining(text, out))
    assert got == (
        f"{out / 'model'}: cannot be written: No space left on device; the last checkpoint is "
        f"{out / 'checkpoints' / 'step-000004'}"
    )
    assert not (out / "model").exists()
    done("pretrain", "--resume", out, "--quiet")
    assert (out / "model" / "model.safetensors").exists()


def test_a_run_does_without_its_picture(text: Path, out: Path) -> None:
    with no_room_for("loss.png"):
        done(*pretraining(text, out))
    assert not (out / "loss.png").exists()


def test_a_disk_that_is_full_at_the_settings_begins_no_run(
    text: Path, out: Path, capsys: Capture
) -> None:
    with no_room_for("run.toml"):
        got = said(capsys, *pretraining(text, out))
    assert got == f"{out / 'run.toml'}: cannot be written: No space left on device"
    assert not out.exists()


SMALL = """
import resource, sys
from lmkernel.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.exit(main(sys.argv[2:]))
"""


def test_a_file_that_may_not_grow_is_an_error_like_any_other(text: Path, out: Path) -> None:
    """The system refuses the write itself, in the midst of the optimizer's state."""
    command = [sys.executable, "-c", SMALL, "190000", *pretraining(text, out)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 1, ended
    assert ended.stderr == (
        f"lmkernel: error: {out / 'checkpoints' / 'step-000002'}: cannot be written: "
        "File too large; no checkpoint was written yet\n"
    )
    assert list((out / "checkpoints").iterdir()) == []
    done("pretrain", "--resume", out, "--quiet")


def test_a_folder_that_cannot_be_made_is_named(text: Path, capsys: Capture) -> None:
    got = said(capsys, *pretraining(text, text / "run"))
    assert got.startswith(f"{text / 'run'}: ")


def test_an_interrupt_before_the_first_step_leaves_nothing(
    text: Path, out: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmkernel.cli.main import main
    from lmkernel.training import session

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "start_of", interrupt)
    assert main(pretraining(text, out)) == 130
    assert capsys.readouterr().err == "\ninterrupted\n"
    assert not out.exists()
