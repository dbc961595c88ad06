"""What ``lmkernel new`` writes, built by pip and installed in a folder: found, listed, tested."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def python(folder: Path, *arguments: str, site: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in ``folder`` with ``site`` on its path."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "LMKERNEL_"))}
    command = [sys.executable, *arguments]
    environment = {**kept, "PYTHONPATH": str(site)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("new", "code", "said"),
    [
        (["backend", "toy"], 1, "operations are missing"),
        (["plugin", "toy", "--hook", "components"], 0, "2 passed"),
    ],
)
def test_distribution_is_built_and_found(
    tmp_path: Path, new: list[str], code: int, said: str
) -> None:
    site = tmp_path / "site"
    begun = python(tmp_path, "-m", "lmkernel.cli", "new", *new, site=site)
    assert begun.returncode == 0, begun.stderr
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site)]
    built = python(tmp_path, *install, str(tmp_path / "lmkernel-toy"), site=site)
    assert built.returncode == 0, built.stderr
    listed = python(tmp_path, "-m", "lmkernel.cli", "backends", site=site)
    assert (listed.returncode, listed.stderr) == (0, "")
    tests = str(tmp_path / "lmkernel-toy" / "tests")
    done = python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests, site=site)
    assert (done.returncode, said in done.stdout) == (code, True), done.stdout
