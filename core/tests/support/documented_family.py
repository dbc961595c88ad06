"""The family that docs/add-a-family.md shows, as the distribution that the page describes."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "add-a-family.md"
PACKAGE = "lmkernel_seed_oss"
_FILES = (("python", ("family.py", "plugin.py")), ("toml", ("pyproject.toml",)))


def write_distribution(folder: Path) -> Path:
    """The folder of the distribution, with the page's files as they stand there."""
    text = PAGE.read_text("utf-8")
    package = folder / "src" / PACKAGE
    package.mkdir(parents=True)
    for language, names in _FILES:
        blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
        for name, block in zip(names, blocks, strict=True):
            (folder if language == "toml" else package).joinpath(name).write_text(block, "utf-8")
    return folder


__all__ = ["PACKAGE", "PAGE", "write_distribution"]
