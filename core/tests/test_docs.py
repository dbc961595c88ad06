"""The documentation names every hook with its exact signature."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from readme import write_questions

import lmkernel as lk
from lmkernel.plugins import hookspecs

DOCS = Path(__file__).parents[2] / "docs" / "plugins.md"
TRAINING = DOCS.with_name("training.md")
HOOKS = [name for name in vars(hookspecs) if name.startswith("lmkernel_register_")]


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_is_documented_with_its_signature(hook: str) -> None:
    signature = str(inspect.signature(getattr(hookspecs, hook))).replace("'", "")
    assert f"`{hook}{signature}`" in DOCS.read_text("utf-8")


def test_documented_hooks_exist() -> None:
    words = DOCS.read_text("utf-8").replace("(", " ").replace("`", " ").split()
    named = {word for word in words if word.startswith("lmkernel_register_")}
    assert named == set(HOOKS)


def test_a_plugin_is_registered_without_installing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    [program] = [block for block in blocks if "registry.register(" in block]
    monkeypatch.setitem(sys.modules, "my_plugin", ModuleType("my_plugin"))
    exec(compile(program, str(DOCS), "exec"), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out == "[]\n"


def programs() -> list[str]:
    return re.findall(r"```python\n(.*?)```", TRAINING.read_text("utf-8"), re.DOTALL)


def test_verbs_of_the_training_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_questions(tmp_path / "qa.jsonl")
    exec(compile(programs()[0], str(TRAINING), "exec"), {})  # noqa: S102 - our own page
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("finished after step 20: ")
    assert float(lines[-1]) > 0


def test_trainer_of_the_training_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    _, code = programs()
    exec(compile(code, str(TRAINING), "exec"), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out.endswith("(1, 4, 3)\n")


def test_files_of_settings_of_the_training_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second, of adapters, starts from the first's model in place of one that is pulled."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "home"))
    write_questions(tmp_path / "qa.jsonl")
    files = tmp_path / "small.toml", tmp_path / "adapters.toml"
    blocks = re.findall(r"```toml\n(.*?)```", TRAINING.read_text("utf-8"), re.DOTALL)
    for file, text in zip(files, blocks, strict=True):
        file.write_text(text)
    small, adapters = files
    run = lk.pretrain(config=small, out="runs/small", steps=2, progress=False)
    tuned = lk.finetune(run.folder, config=adapters, out="runs/tuned", steps=2, progress=False)
    assert (tuned.model / "adapter_model.safetensors").is_file()
    assert tuned.settings.lora is not None
    assert tuned.settings.lora.targets == ("q", "v")
