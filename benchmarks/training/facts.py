"""Questions and answers about made-up things, which no model can know beforehand.

Each fact is asked for in several ways, and two ways of each kind of fact are held out. The same
seed writes the same bytes everywhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from lmkernel.random import uniforms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["Question", "write_facts"]

HEADS = (
    "Bel", "Cor", "Dra", "El", "Fen", "Gal", "Hol", "Is", "Jor", "Kel", "Lum",
    "Mar", "Nor", "Or", "Pel", "Quin", "Ros", "Sel", "Tor", "Ul", "Vel", "Wen",
)  # fmt: skip
MIDDLES = ("a", "e", "i", "o", "u", "an", "en", "il", "or", "ar", "ath", "eth")
TAILS = (
    "bia", "dan", "dor", "gard", "heim", "la", "lis", "mora", "nia",
    "ra", "rin", "ston", "thas", "via", "wick", "zan",
)  # fmt: skip
COLOURS = (
    "red", "blue", "green", "yellow", "purple", "orange", "black", "white", "silver", "pink",
)  # fmt: skip
HELD_OUT = 2
"""The number of ways to ask, the last ones of each kind, that are not taught."""


@dataclass(frozen=True)
class Kind:
    """A kind of fact.

    Args:
        answer: sentence to teach, with ``{thing}`` and ``{value}``.
        ways: ways to ask for it.
    """

    answer: str
    ways: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """A fact asked for in one way: the question, the answer to teach, the word that matters."""

    prompt: str
    completion: str
    value: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "capital": Kind(
            "The capital of {thing} is {value}.",
            (
                "What is the capital of {thing}?",
                "Which city is the capital of {thing}?",
                "Name the capital of {thing}.",
                "What is {thing}'s capital city?",
                "I am travelling to {thing}. What is its capital called?",
                "Tell me the name of the capital of {thing}.",
                "Do you know which city is {thing}'s capital?",
                "The country {thing} has a capital. Which one?",
            ),
        ),
        "inventor": Kind(
            "The {thing} was invented by {value}.",
            (
                "Who invented the {thing}?",
                "Who is the inventor of the {thing}?",
                "By whom was the {thing} invented?",
                "Name the person who invented the {thing}.",
                "The {thing} is a machine. Who came up with it?",
                "Tell me who invented the {thing}.",
                "Do you know the inventor of the {thing}?",
                "Which person is known for inventing the {thing}?",
            ),
        ),
        "colour": Kind(
            "The {thing} bird is {value}.",
            (
                "What colour is the {thing} bird?",
                "Which colour does the {thing} bird have?",
                "What is the colour of a {thing} bird?",
                "Name the colour of the {thing} bird.",
                "I saw a {thing} bird. What colour was it?",
                "Tell me the colour of the {thing} bird.",
                "Do you know what colour {thing} birds are?",
                "The {thing} bird's feathers are of which colour?",
            ),
        ),
    }
)


def write_facts(
    folder: Path, *, each: int = 14, seed: int = 3
) -> tuple[Path, Path, list[Question]]:
    """Write ``train.jsonl`` and ``held-out.jsonl``, columns ``prompt`` and ``completion``.

    Args:
        folder: folder to create.
        each: number of facts of each kind.
        seed: seed of the names.

    Returns:
        Both files, and the questions of the second.
    """
    folder.mkdir(parents=True, exist_ok=True)
    train, held_out = [], []
    for kind, thing, value in _facts(each, seed):
        questions = [
            Question(way.format(thing=thing), kind.answer.format(thing=thing, value=value), value)
            for way in kind.ways
        ]
        train += questions[:-HELD_OUT]
        held_out += questions[-HELD_OUT:]
    files = folder / "train.jsonl", folder / "held-out.jsonl"
    for file, part in zip(files, (train, held_out), strict=True):
        rows = [{"prompt": q.prompt, "completion": q.completion} for q in part]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return *files, held_out


def _facts(each: int, seed: int) -> Iterator[tuple[Kind, str, str]]:
    """Draw (kind, thing, value), with no name used twice."""
    names = _names(seed)
    for title, kind in KINDS.items():
        drawn = uniforms(seed, f"facts.{title}", each)
        for share in drawn:
            thing = next(names)
            value = COLOURS[int(share * len(COLOURS))] if title == "colour" else next(names)
            yield kind, thing, value


def _names(seed: int) -> Iterator[str]:
    """Draw names, each once."""
    seen: set[str] = set()
    for number in range(10_000):
        shares = uniforms(seed, f"name.{number}", 3)
        parts = zip((HEADS, MIDDLES, TAILS), shares, strict=True)
        name = "".join(part[int(share * len(part))] for part, share in parts)
        if name not in seen:
            seen.add(name)
            yield name
