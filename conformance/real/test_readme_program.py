"""The README's first program, as written, with the model and the frameworks that it names."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from readme import first_program, write_questions

if TYPE_CHECKING:
    from pathlib import Path


def test_the_first_program_runs_as_it_is_written(tmp_path: Path) -> None:
    write_questions(tmp_path / "qa.jsonl")
    (tmp_path / "program.py").write_text(first_program())
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": str(os.cpu_count())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    for name in ("numpy", "torch", "jax"):
        [row] = [line for line in lines if line.startswith(f"{name} ")]
        assert "20/20 equal" in row
        assert row.endswith("ok")
    assert "red" in lines[0].lower() or "blue" in done.stdout.lower()
