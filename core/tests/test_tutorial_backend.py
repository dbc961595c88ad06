"""docs/tutorial-backend.md, followed to the letter: its code is written, its commands are run."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from textwrap import dedent, indent
from typing import TYPE_CHECKING

import pytest
from made_install import environment_with, run_python

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "tutorial-backend.md"
BLOCK = re.compile(
    r"(?:^(?P<words>[^\n]+)\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
MODULES = {"lmkernel": ["-m", "lmkernel.cli"], "pytest": ["-m", "pytest", "-p", "no:cacheprovider"]}


class Reader:
    """Somebody who does what the page says, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.site = folder.parent / "site"
        self.environment = installed_nothing()

    def write(self, words: str, code: str) -> None:
        """A block of Python, as the sentence before it says."""
        [path, *old] = re.findall(r"`([^`]+)`", words)
        file = self.folder / path
        text = file.read_text("utf-8")
        if words == f"In `{path}`, write:":
            text = with_methods(text, code)
        elif words == f"At the top of `{path}`, add:":
            text = text.replace("annotations\n\n", f"annotations\n\n{code}\n", 1)
        elif words == f"At the end of `{path}`, add:":
            text = f"{text}\n\n{code}"
        else:
            assert words == f"In `{path}`, in place of `{old[0]}`:"
            assert text.count(old[0]) == 1
            text = text.replace(old[0], code.strip())
        file.write_text(text, "utf-8")

    def run(self, line: str, shown: list[str]) -> None:
        """A command, which ends as its comment says and prints what is shown, in that order."""
        command, _, comment = line.partition("  # ")
        program, *arguments = shlex.split(command)
        if program == "cd":
            self.folder /= arguments[0]
        elif program == "pip":
            assert arguments == ["install", "-e", "."]
            self.environment = environment_with(self.folder, self.site)
        else:
            done = run_python(self.folder, self.environment, *MODULES[program], *arguments)
            said = done.stdout + done.stderr
            assert (done.returncode != 0) == (comment == "fails"), f"{line}\n{said}"
            assert_output_shows(shown, done.stdout)


def installed_nothing() -> dict[str, str]:
    """The environment before the plugin is installed."""
    import os

    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "LMKERNEL_"))}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1"}


def with_methods(text: str, code: str) -> str:
    """A file whose methods are replaced by those of the same names."""
    for method in ast.parse(dedent(code)).body:
        assert isinstance(method, ast.FunctionDef)
        [old] = [
            node
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef) and node.name == method.name
        ]
        lines, own = text.splitlines(), dedent(code).splitlines()
        new = indent("\n".join(own[method.lineno - 1 : method.end_lineno]), "    ")
        lines[old.lineno - 1 : old.end_lineno] = new.splitlines()
        text = "\n".join(lines) + "\n"
    return text


def assert_output_shows(shown: list[str], output: str) -> None:
    rest = output
    for line in shown:
        assert line in rest, f"expected {line!r} in\n{output}"
        rest = rest.partition(line)[2]


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a block, and the lines below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, *shown = part.splitlines()
        yield line, shown


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    (tmp_path / "empty").mkdir()
    return Reader(tmp_path / "empty")


def test_the_page_leads_to_a_backend_that_passes(reader: Reader) -> None:
    ran = []
    for block in BLOCK.finditer(PAGE.read_text("utf-8")):
        if block["kind"] == "python":
            reader.write(block["words"], block["text"])
            continue
        assert block["kind"] == "console"
        for line, shown in commands(block["text"]):
            reader.run(line, shown)
            ran.append(line)
    assert "lmkernel certify toy --level document --profile inference" in ran
    assert "lmkernel certify toy --profile inference" in ran
