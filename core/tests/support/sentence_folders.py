"""Folders of sentence-transformers, and texts that are embedded with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MODULES", "TEXTS", "ULP", "write_settings"]

TEXTS = ["abcdef", "x", "hello there", "it's", "abcdeg"]
MODULES = ("", "1_Pooling", "2_Normalize")
ULP = 2.0**-23


def write_settings(
    folder: Path, pooling: dict[str, Any], modules: tuple[str, ...] = MODULES, **transformer: Any
) -> None:
    """The files of sentence-transformers."""
    names = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    listed = [
        {"idx": i, "name": str(i), "path": m, "type": f"library.{names.get(m, m.split('_')[-1])}"}
        for i, m in enumerate(modules)
    ]
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    (folder / "modules.json").write_text(json.dumps(listed), "utf-8")
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), "utf-8")
    (folder / "sentence_bert_config.json").write_text(json.dumps(transformer), "utf-8")
