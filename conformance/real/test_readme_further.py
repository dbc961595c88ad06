"""The README's programs after the first: what is inside a model, and one put together from parts.

Constraints: needs the package index or a pulled model, and JAX.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmkernel

if TYPE_CHECKING:
    import pytest

README = Path(__file__).parents[2] / "README.md"


def test_further_programs_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _, *programs = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {"model": lmkernel.load("smollm2-135m-instruct", backend="jax")}
    for program in programs:
        exec(compile(program, "README.md", "exec"), names)  # noqa: S102 - our own page
    shapes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("(")]
    assert shapes == ["(6, 49152)", "(31, 6, 576)", "(1, 9, 6, 6)", "(2, 576)"]
    assert (tmp_path / "copy" / "config.json").is_file()
    assert float(names["value"]) > 0
