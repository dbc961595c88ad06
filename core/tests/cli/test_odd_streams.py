"""Every command, whatever its streams and its environment are: a documented code, no traceback.

The commands are those that are registered, so that a new one is tried here by itself; the page
docs/exit-codes.md is held against what comes.
"""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from letters import letters
from odd_streams import CONDITIONS, Condition, Ended, run_under
from small import small_config, write_small
from training_files import pretraining, story

from lmkernel.backend import load_backend
from lmkernel.cli.chat.reading import PlainReader
from lmkernel.cli.main import main
from lmkernel.cli.options import read_prompt
from lmkernel.errors import InputError
from lmkernel.model import Model
from lmkernel.plugins import CommandSpec, default_registry

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = Path(__file__).parents[3] / "docs" / "exit-codes.md"
COMMANDS = tuple(default_registry().all(CommandSpec))
EMOJI = "🦜 你好"
CODES = {0, 1, 2, 3, 141}
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model under a name that few encodings hold, a text, and no certificate."""
    folder = tmp_path_factory.mktemp("odd")
    model = Model(load_backend("numpy"), small_config())
    write_small(folder / EMOJI, model, letters())
    story(folder / "story.txt", 40)
    (folder / "certificate.json").write_text("{}")
    _import_all(folder)
    return folder


def _import_all(place: Path) -> None:
    """Run each command once here, so that no forked process has anything left to import."""
    with (
        pytest.MonkeyPatch.context() as patched,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        patched.setenv("LMKERNEL_HOME", str(place / "home"))
        for command, arguments in usual_arguments(place).items():
            main([command, *arguments])


def usual_arguments(place: Path) -> Mapping[str, list[str]]:
    """What each command is asked; one that is not here is asked for nothing."""
    model = str(place / EMOJI)
    run = place / "runs" / str(len(list((place / "runs").glob("*"))))
    run.parent.mkdir(exist_ok=True)
    quick = ("--steps", "1", "--set", "training.evaluate_every=0")
    return {
        "pull": ["no-such-model"],
        "chat": ["ab", "--model", model, "--max-new-tokens", "2"],
        "generate": [model, "ab", "--max-new-tokens", "2"],
        "pretrain": pretraining(place / "story.txt", run, *quick)[1:],
        "embed": [model, "ab"],
        "twin": [model, str(run)],
        "bench": [model, "--backends", "numpy", "--quick"],
        "quantize": [model, str(run), "--weights", "int8"],
        "perplexity": [model, "ab ab"],
        "rerank": [model, "ab", "ab", "ba"],
        **{task: [model, "ab"] for task in ("classify", "tag", "fill", "translate", "summarize")},
        "answer": [model, "ab", "ab ba", "--longest", "1"],
        "verify": [str(place / "no such model"), "--subject", "no-such"],
        "finetune": [str(place / "no such model")],
        "evaluate": [model, "--data", str(place / EMOJI / "no such data")],
        "compare": [model, "--backends", "no-such"],
        "new": ["plugin", "toy", "--hook", "families", "--folder", str(run)],
        "certify": ["--verify", str(place / "certificate.json")],
        "reference": ["--backend", "no-such"],
    }


def check(ended: Ended, what: str) -> None:
    assert "Traceback" not in ended.out + ended.error, (what, ended)
    assert "Exception ignored" not in ended.error, (what, ended)
    assert ended.code in CODES, (what, ended)
    if ended.code == 1 and ended.error:
        *_, last = ended.error.strip().splitlines()
        assert last.startswith("lmkernel: error: ") or "lmkernel:" in ended.error, (what, ended)


@pytest.mark.parametrize("name", CONDITIONS)
def test_b48_every_command(
    place: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Each condition meets every third command, by turns, and with ``--whole`` all of them."""
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path))
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.chdir(tmp_path)
    condition = CONDITIONS[name]
    first = [*CONDITIONS].index(name) % 3
    commands = list(COMMANDS) if request.config.getoption("--whole") else list(COMMANDS)[first::3]
    for command in commands:
        for arguments in (usual_arguments(place).get(command, []), ["--help"]):
            ended = run_under(condition, main, command, *arguments)
            check(ended, f"{command} {arguments} under {name}")
            if "TERM=dumb" in name or "NO_COLOR" in name:
                assert not ESCAPES.search(ended.out), (command, ended)
    for arguments in ([], ["--help"], ["--version"], ["no-such"], ["models", "--no-such", "🦜"]):
        check(run_under(condition, main, *arguments), f"{arguments} under {name}")
    assert not (tmp_path / "~").exists()


def table() -> dict[str, dict[str, str]]:
    """The page's table: what is expected, by condition and command."""
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("| ")
    ]
    header = next(row for row in rows if row[0] == "what it meets")
    return {
        row[0].replace("\\|", "|"): dict(zip(header[1:], row[1:], strict=True))
        for row in rows
        if len(row) == len(header) and row is not header
    }


def test_page_names_every_condition() -> None:
    assert list(table()) == list(CONDITIONS)


@pytest.mark.parametrize("name", CONDITIONS)
def test_b47_code_and_sentence_are_the_pages(
    place: Path, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path))
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    usual = usual_arguments(place)
    for title, expected in table()[name].items():
        command = title.strip("`").removeprefix("lmkernel ").split()[0]
        ended = run_under(CONDITIONS[name], main, command, *usual.get(command, []))
        code, _, sentence = expected.partition(": ")
        assert str(ended.code) == code, (command, ended)
        said = " ".join((ended.error + ended.out).split())
        for part in sentence.strip("`").split("…"):
            assert part.strip() in said, (command, ended)


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "? ??"), ("utf-8", "🦜 你好")])
def test_b44_characters_that_the_encoding_lacks_are_replaced(
    place: Path, encoding: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"ascii": "`PYTHONIOENCODING=ascii`", "utf-8": "nothing unusual"}
    arguments = ("new", "plugin", "toy", "--hook", "families", "--folder", f"{place.name} {EMOJI}")
    ended = run_under(CONDITIONS[names[encoding]], main, *arguments)
    assert ended.code == 0
    assert f"{place.name} {shown}" in ended.out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("closed", "expected a prompt of at least one character, got an empty one"),
        ("written", "expected a prompt of at least one character, got an empty one"),
        ("endless", "expected at most 134217728 bytes on standard input, got more"),
    ],
)
def test_prompt_that_cannot_be_read(place: Path, given: str, said: str) -> None:
    ended = run_under(Condition(given=given), main, "generate", str(place / EMOJI))
    assert (ended.code, ended.error) == (1, f"lmkernel: error: {said}\n")


def test_prompt_whose_device_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/proc/self/mem").open() as failing:  # nothing lies at its beginning
        monkeypatch.setattr("sys.stdin", failing)
        with pytest.raises(InputError, match="standard input cannot be read: Input/output error"):
            read_prompt(None)


def test_message_whose_device_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/proc/self/mem").open() as failing:
        monkeypatch.setattr("sys.stdin", failing)
        with pytest.raises(InputError, match="standard input cannot be read: Input/output error"):
            PlainReader().read()


@pytest.mark.parametrize("columns", ["a terminal of 0 columns", "a terminal of 20 columns"])
def test_bar_fits_its_terminal(
    place: Path, columns: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    arguments = pretraining(place / "story.txt", tmp_path / "run", "--steps", "1")
    arguments.remove("--quiet")
    ended = run_under(CONDITIONS[columns], main, *arguments)
    assert ended.code == 0
    assert "step 1/1" in ended.out
    width = CONDITIONS[columns].columns or 80
    drawn = [line for line in re.split(r"[\r\n]+", ended.out) if line.startswith("step ")]
    bars = [line for line in drawn if "validation" not in line]
    assert bars
    assert max(map(len, bars)) <= width
