"""Where answers and notes appear: wrapped on a terminal, as they come elsewhere."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING

from lmkernel.cli.style import paint
from lmkernel.cli.wrapping import WordWrap

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["escaped_json", "note", "show"]


def show(answer: Iterable[str]) -> None:
    """An answer on standard output as it comes; its last line ends even if it is interrupted."""
    if not sys.stdout.isatty():
        for piece in answer:
            sys.stdout.write(piece)
            sys.stdout.flush()
        print(flush=True)
        return
    wrap = WordWrap(sys.stdout.write, _columns)
    try:
        for piece in answer:
            wrap.push(piece)
            sys.stdout.flush()
    finally:
        wrap.close()
        sys.stdout.flush()


def escaped_json(text: str) -> str:
    """JSON as standard output can hold it: characters that its encoding lacks as escapes."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_escaped(one, encoding) for one in text)
    return text


def _escaped(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(character)[1:-1]
    return character


def note(text: str) -> None:
    """What is no part of an answer, dim, on standard error."""
    if sys.stderr.isatty():
        lines: list[str] = []
        wrap = WordWrap(lines.append, _columns)
        wrap.push(text)
        wrap.close()
        text = "".join(lines).rstrip("\n")
    print(paint(text, "dim", sys.stderr), file=sys.stderr, flush=True)


def _columns() -> int:
    return shutil.get_terminal_size().columns
