"""The quickstart runs from top to bottom, as a script and as a notebook.

Constraints: needs the package index or a pulled model, and nbclient, nbformat and ipykernel. It
compares all backends that are installed, as it does for whoever reads it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

DOCS = Path(__file__).parents[2] / "docs"
LIMIT = 600.0
"""Seconds; the page says a minute, a machine under load may take several."""


@pytest.mark.whole  # its lines are the notebook's, which runs below
def test_the_script_runs(tmp_path: Path) -> None:
    command = [sys.executable, str(DOCS / "quickstart.py")]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=LIMIT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Paris" in done.stdout
    assert "differs" not in done.stdout


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = nbformat.read(DOCS / "quickstart.ipynb", as_version=4)
    nbformat.validate(made)
    folder = str(tmp_path_factory.mktemp("notebook"))
    client = nbclient.NotebookClient(
        made, timeout=LIMIT, resources={"metadata": {"path": folder}}, kernel_name="python3"
    )
    return client.execute()


def test_the_notebook_runs_in_order(executed: Any) -> None:
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


def test_results_are_tables_in_the_notebook(executed: Any) -> None:
    """Backends, description, comparison, run and evaluation."""
    shown = [
        output.data["text/html"]
        for cell in executed.cells
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]
    assert [html.count("<table>") for html in shown] == [1, 1, 1, 1, 1]
    assert "differs" not in shown[2]
