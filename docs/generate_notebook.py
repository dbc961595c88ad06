"""Writes docs/quickstart.ipynb from docs/quickstart.py, without outputs.

The script has a cell after each line ``# %%``, of Markdown in comments after ``# %% [markdown]``.
``python docs/generate_notebook.py`` writes the notebook; a test compares it with `notebook`.
"""
# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

__all__ = ["NOTEBOOK", "SCRIPT", "notebook"]

SCRIPT = Path(__file__).with_name("quickstart.py")
NOTEBOOK = SCRIPT.with_suffix(".ipynb")
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def notebook(script: str) -> str:
    """The text of the notebook (format 4.5) whose cells are those of a script."""
    parts = re.split(r"^# %%( \[markdown\])?\n", script, flags=re.MULTILINE)[1:]
    cells = [
        _cell(number, text.strip("\n"), markdown=mark is not None)
        for number, (mark, text) in enumerate(zip(parts[::2], parts[1::2], strict=True))
    ]
    content = {
        "cells": cells,
        "metadata": {"kernelspec": KERNEL, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _cell(number: int, text: str, *, markdown: bool) -> dict[str, Any]:
    if markdown:
        text = re.sub(r"^# ?", "", text, flags=re.MULTILINE)
    cell = {"id": f"cell-{number}", "metadata": {}, "source": text.splitlines(keepends=True)}
    if markdown:
        return {"cell_type": "markdown", **cell}
    return {"cell_type": "code", "execution_count": None, **cell, "outputs": []}


if __name__ == "__main__":
    NOTEBOOK.write_text(notebook(SCRIPT.read_text("utf-8")), "utf-8")
