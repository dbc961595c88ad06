"""What is in the folder of a run, whether a command leaves it so, and texts of two classes."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from training_files import contents, said

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

LABELLED = [{"text": "a river", "label": "ws"[n % 2]} for n in range(16)]


def settings_in(run: Path) -> dict[str, Any]:
    """The settings that a run was begun with."""
    return tomllib.loads((run / "run.toml").read_text())


def logged(run: Path) -> list[dict[str, Any]]:
    """The numbers of each step."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def untouched(run: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What is said by a command that must leave a run as it is."""
    before = contents(run)
    complaint = said(capsys, *arguments)
    assert contents(run) == before
    return complaint
