"""Many inputs through one child, which is begun again when it is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lmkernel.families.plugin import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NAMES", "Session"]

SUPPORT = Path(__file__).parents[1]
NAMES = (
    *("safetensors", "index", "weights", "adapters", "sentences", "gguf", "gguf scored"),
    *(f"config {name}" for name in FAMILIES),
    *("chat files", "tokenizer bytes", "tokenizer sentencepiece", "templates", "requests"),
    *("settings", "data a.jsonl", "data a.csv", "data a.txt", "data parquet", "token shards"),
    *("run", "certificate", "preprocessor", "pictures", "sounds", "hearing", "spelling"),
)
"""Of all formats; the child knows what is behind each."""


class Session:
    """A child and what it is asked; a context manager."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None

    def ask(self, **asked: Any) -> dict[str, Any]:
        """What came of an input; a child that dies of it is a fault too."""
        child = self._child or self._begin()
        try:
            child.stdin.write(json.dumps(asked) + "\n")
            child.stdin.flush()
            line = child.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            found: dict[str, Any] = json.loads(line)
            return found
        self._child = None
        child.stdout.close()
        child.stdin.close()
        return {"end": "fault", "words": f"the process died with {child.wait()}"}

    def answers(self, name: str, numbers: range) -> Iterator[dict[str, Any]]:
        """What came of numbered inputs of a format."""
        for number in numbers:
            yield {"format": name, "number": number, **self.ask(format=name, number=number)}

    def _begin(self) -> subprocess.Popen[str]:
        paths = os.pathsep.join([str(SUPPORT), *filter(None, sys.path)])
        self._child = subprocess.Popen(
            [sys.executable, "-m", "fuzzing.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        return self._child

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.communicate()
