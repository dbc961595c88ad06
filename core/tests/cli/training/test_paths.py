"""A tilde is the user's folder wherever a path is read, from flags, settings and programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from training_files import SIZES, done, said, story

import lmkernel
from lmkernel.errors import LmkernelError
from lmkernel.paths import user_path

if TYPE_CHECKING:
    from collections.abc import Callable

SHORT = ("--steps", "1", "--batch", "2", "--quiet", *SIZES)


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, with a text; the current folder is another."""
    folder = tmp_path / "user"
    folder.mkdir()
    story(folder / "d.txt")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def test_b46_every_path_of_a_run(user: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (user / "s.toml").write_text('data.train = "~/d.txt"\ndata.validation = "~/d.txt"\n')
    done("pretrain", "--out=~/r1", "--data=~/d.txt", "--validation=~/d.txt", *SHORT)
    sizes = [*SHORT[:5], *SIZES[:-2]]
    tokenizer = "model.tokenizer=~/r1/model"
    done("pretrain", "--config=~/s.toml", "--out=~/r2", "--set", tokenizer, *sizes)
    done("pretrain", "--start=~/r1", "--out=~/r3", "--data=~/d.txt", *SHORT[:5])
    done("pretrain", "--resume=~/r1", "--steps=2", "--quiet")
    done("evaluate", "~/r1/model", "--data=~/d.txt", "--context=16")
    done("generate", "~/r1/model", "The", "--max-new-tokens=1")
    done("new", "plugin", "toy", "--hook=families", "--folder=~/toy")
    assert said(capsys, "certify", "--verify=~/none.json").startswith(f"{user / 'none.json'}: ")
    model = lmkernel.load("~/r1/model")
    model.save("~/saved")
    made = {path.name for path in user.iterdir() if path.name[0] != "."}
    assert made == {"d.txt", "s.toml", "r1", "r2", "r3", "toy", "saved"}
    assert not Path("~").exists()


NOBODY = "~no-such-user/x"


@pytest.mark.parametrize(
    "arguments",
    [
        ["pretrain", f"--out={NOBODY}", "--data=~/d.txt", *SHORT],
        ["pretrain", f"--data={NOBODY}", *SHORT],
        ["pretrain", f"--validation={NOBODY}", "--data=~/d.txt", *SHORT],
        ["pretrain", f"--config={NOBODY}", *SHORT],
        ["pretrain", f"--start={NOBODY}", "--data=~/d.txt", *SHORT[:5]],
        ["pretrain", f"--resume={NOBODY}"],
        ["pretrain", f"--set=model.tokenizer={NOBODY}", "--data=~/d.txt", *SHORT],
        ["finetune", NOBODY, "--data=~/d.txt"],
        ["evaluate", NOBODY, "--data=~/d.txt"],
        ["generate", NOBODY, "hello"],
        ["chat", "hello", f"--model={NOBODY}"],
        ["compare", NOBODY, "--backends=numpy"],
        ["new", "plugin", "toy", "--hook=families", f"--folder={NOBODY}"],
        ["certify", f"--verify={NOBODY}"],
        ["certify", "numpy", f"--out={NOBODY}"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
@pytest.mark.usefixtures("user")
def test_b46_folder_of_nobody(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    complaint = said(capsys, *arguments)
    assert f"{NOBODY}: the home folder of no-such-user is not known" in complaint


CALLS: list[Callable[[str], object]] = [
    lmkernel.load,
    lambda path: lmkernel.pretrain(path, progress=False),
    lambda path: lmkernel.resume(path, progress=False),
    lambda path: lmkernel.evaluate(path, "~/d.txt", progress=False),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("path", ["n" * 300 + "/x", "a\0b/x", "~no-such-user/x"])
@pytest.mark.usefixtures("user")
def test_low_paths_that_cannot_be_are_errors_of_our_own(
    call: Callable[[str], object], path: str
) -> None:
    with pytest.raises(LmkernelError) as caught:
        call(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.usefixtures("user")
def test_path_of_this_system_stays_as_it_is() -> None:
    assert user_path("a/~/b") == Path("a/~/b")
    assert user_path("./~x") == Path.cwd() / "~x"
    assert user_path(Path("/no/such")) == Path("/no/such")


@pytest.mark.usefixtures("user")
def test_a_start_without_a_name_begins_nothing_new(capsys: pytest.CaptureFixture[str]) -> None:
    got = said(capsys, "pretrain", "--start=", "--data=~/d.txt", *SHORT[:5])
    assert got == "start: expected a model to go on from, got an empty name"
