"""The first program of the README, and the questions that it is taught from."""

from __future__ import annotations

import json
import re
from pathlib import Path

README = Path(__file__).parents[3] / "README.md"


def first_program() -> str:
    """The first block of Python."""
    found = re.search(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    if found is None:
        raise AssertionError(f"expected a program in {README}")
    return found[1]


def write_questions(path: Path, count: int = 12) -> None:
    """Rows of a question and its answer."""
    rows = ({"prompt": f"number {'i' * n}", "completion": f"yes {'o' * n}"} for n in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
