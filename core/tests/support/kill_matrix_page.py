"""Reads docs/kill-matrix.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["handwritten_mutants", "section_of"]


def section_of(page: Path, title: str) -> str:
    """What stands under a heading."""
    text = page.read_text(encoding="utf-8")
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


def handwritten_mutants(page: Path) -> list[str]:
    """The ids in the table of handwritten mutants."""
    table = section_of(page, "Handwritten mutants")
    return re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
