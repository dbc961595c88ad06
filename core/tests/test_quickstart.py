"""docs/quickstart.ipynb is docs/quickstart.py; conformance/real runs both."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebook", DOCS / "generate_notebook.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_notebook_is_the_script(maker: ModuleType) -> None:
    made = maker.notebook(maker.SCRIPT.read_text("utf-8"))
    said = maker.NOTEBOOK.read_text("utf-8")
    assert said == made, "docs/quickstart.ipynb is stale; run: python docs/generate_notebook.py"


def test_cells(maker: ModuleType) -> None:
    script = "# ruff: noqa\n# %% [markdown]\n# # Title\n#\n# text\n\n# %%\nx = 1\n# a comment\n"
    words, code = json.loads(maker.notebook(script))["cells"]
    assert words["cell_type"] == "markdown"
    assert "".join(words["source"]) == "# Title\n\ntext"
    assert code["cell_type"] == "code"
    assert "".join(code["source"]) == "x = 1\n# a comment"
    assert code["outputs"] == []
