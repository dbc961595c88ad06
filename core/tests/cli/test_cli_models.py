"""`lmkernel pull` and `lmkernel models`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, final

import pytest
from tiny_files import write_tiny

from lmkernel.cli import plugin as commands
from lmkernel.cli.main import main
from lmkernel.contract.version import CONTRACT_VERSION
from lmkernel.plugins import Registry, SourceSpec, hookimpl
from lmkernel.sources import Source
from lmkernel.sources import plugin as built_in
from lmkernel.sources.store import size_of

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.sources import Progress


@final
class FixedSource(Source):
    def fetch(self, name: str, directory: Path, *, progress: Progress) -> None:
        progress.say(f"fetching {name}")
        write_tiny(directory)
        (directory / "notes.txt").write_bytes(bytes(1234 - size_of(directory)))


@final
class Plugin:
    @hookimpl
    def lmkernel_register_sources(self) -> list[SourceSpec]:
        models = {"tiny": "a tiny one (MIT)", "huge": "a huge one"}
        return [
            SourceSpec(
                contract=CONTRACT_VERSION,
                name="fixed",
                load=f"{__name__}:FixedSource",
                models=models,
                prefix="fx:",
            )
        ]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path))
    return tmp_path / "models"


def run(*arguments: str) -> int:
    return main(arguments, registry=Registry({"cli": commands, "test": Plugin()}))


def list_models(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run("models", "--json") == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_pull_prints_the_folder(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("pull", "tiny") == 0
    assert capsys.readouterr() == (f"{models / 'tiny'}\n", "fetching tiny\n")


def test_pull_again_fetches_only_by_force(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("pull", "tiny")
    capsys.readouterr()
    assert run("pull", "tiny") == 0
    again = "tiny is there already; --force pulls it anew\n"
    assert capsys.readouterr() == (f"{models / 'tiny'}\n", again)
    assert run("pull", "tiny", "--force") == 0
    assert capsys.readouterr().err == "fetching tiny\n"


@pytest.mark.usefixtures("models")
def test_unknown_model_is_an_error_of_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("pull", "tinny") == 1
    assert capsys.readouterr().err == (
        "lmkernel: error: unknown model 'tinny'. Did you mean 'tiny'? "
        "Available: fx:NAME, huge, tiny\n"
    )


def test_models_json(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("pull", "tiny")
    run("pull", "fx:a/b")
    tiny, huge, other = list_models(capsys)
    assert tiny == {
        "name": "tiny",
        "source": "fixed",
        "pulled": True,
        "size": 1234,
        "path": str(models / "tiny"),
        "description": "a tiny one (MIT)",
    }
    assert (huge["pulled"], huge["size"], huge["path"]) == (False, None, None)
    assert (other["name"], other["source"], other["pulled"]) == ("fx:a/b", "fixed", True)


def test_model_of_a_source_that_is_gone(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "orphan").mkdir(parents=True)
    assert list_models(capsys)[-1]["source"] == "unknown"


@pytest.mark.usefixtures("models")
def test_models_text(capsys: pytest.CaptureFixture[str]) -> None:
    run("pull", "tiny")
    capsys.readouterr()
    assert run("models") == 0
    assert capsys.readouterr().out == (
        "MODEL  SOURCE  ON DISK     DESCRIPTION\n"
        "tiny   fixed   1.2 kB      a tiny one (MIT)\n"
        "huge   fixed   not pulled  a huge one\n"
        "Besides: lmkernel pull fx:NAME\n"
    )


def test_listing_creates_no_home(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(list_models(capsys)) == 2
    assert not models.exists()


def test_built_in_models_carry_a_licence() -> None:
    specs = Registry({"sources": built_in}).all(SourceSpec)
    assert "(Apache-2.0)" in specs["wheel"].models["smollm2-135m-instruct"]
    assert specs["hub"].prefix == "hf:"
