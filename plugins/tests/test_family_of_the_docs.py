"""The family of docs/add-a-family.md: built by pip, installed, found, trained and asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from documented_family import PACKAGE, write_distribution

if TYPE_CHECKING:
    from pathlib import Path

_MOST_LINES = 60
_SIZES = ("--width", "16", "--layers", "2", "--heads", "2", "--context", "16", "--vocab", "270")


def python(folder: Path, *arguments: object, site: Path) -> str:
    """What Python prints in ``folder``, with ``site`` on its path."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "LMKERNEL_"))}
    before = [p for p in kept.get("PYTHONPATH", "").split(os.pathsep) if p]
    environment = {
        **kept,
        "PYTHONPATH": os.pathsep.join([str(site), *before]),
        "LMKERNEL_HOME": str(folder / "home"),
    }
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_built_installed_trained_and_asked(tmp_path: Path) -> None:
    distribution, site = write_distribution(tmp_path / "seed"), tmp_path / "site"
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--target")
    python(tmp_path, *install, site, distribution, site=site)
    (tmp_path / "story.txt").write_text("The lantern was lit again in the old tower.\n" * 60)
    data = ("--data", "story.txt", "--out", "run", "--quiet", "--steps", "2", "--batch", "2")
    python(
        tmp_path,
        "-m",
        "lmkernel.cli",
        "pretrain",
        "--family",
        "seed_oss",
        *_SIZES,
        *data,
        site=site,
    )
    written = json.loads((tmp_path / "run" / "model" / "config.json").read_text())
    assert (written["model_type"], written["attention_bias"]) == ("seed_oss", True)
    said = python(tmp_path, "-m", "lmkernel.cli", "perplexity", "run", "The lantern", site=site)
    assert json.loads(said)["perplexity"] > 1


def test_it_is_short(tmp_path: Path) -> None:
    package = write_distribution(tmp_path) / "src" / PACKAGE
    assert sum(len(file.read_text().splitlines()) for file in package.iterdir()) <= _MOST_LINES
