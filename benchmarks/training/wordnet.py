"""Make labelled examples from WordNet 3.0: the gloss of a noun, and which of eight kinds it is.

Reads ``data.noun`` as in Debian's package ``wordnet-base``. Field 2 of a line is the
lexicographer's file that the noun comes from (wndb(5WN), lexnames(5WN)); the gloss stands between
``|`` and the first example. A gloss that several nouns share counts once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import Counter
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from harness import say

from lmkernel.random import raw_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SHA256 = "fea17d2f9656611334eac790e5d69e47645fa180c4aa481fb4cd9b3520754ca2"
LABELS: Mapping[int, str] = MappingProxyType(
    {
        5: "animal",
        6: "artifact",
        8: "body",
        10: "communication",
        13: "food",
        15: "location",
        18: "person",
        20: "plant",
    }
)
EACH, TEST = 1250, 2000
"""The most glosses of each kind, and the size of the test set."""

Pair = tuple[str, str]


def main() -> None:
    """Write ``train.jsonl``, ``test.jsonl``, and ``text.jsonl``, glosses without labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="usr/share/wordnet/data.noun")
    parser.add_argument("out", type=Path, help="folder")
    args = parser.parse_args()
    lines = _lines(args.source)
    train, test = draw_examples(lines)
    test_texts = {text for text, _ in test}
    texts = sorted({text for _, text in glosses(lines)} - test_texts)
    args.out.mkdir(parents=True, exist_ok=True)
    for name, pairs in (("train", train), ("test", test)):
        _write(args.out / f"{name}.jsonl", [{"text": t, "label": label} for t, label in pairs])
    _write(args.out / "text.jsonl", [{"text": text} for text in texts])
    most = Counter(label for _, label in test).most_common(1)[0]
    say(
        f"{len(train)} to train on, {len(test)} to test on, {len(texts)} texts",
        f"always {most[0]}: accuracy {most[1] / len(test):.4f}",
    )


def _lines(source: Path) -> list[str]:
    data = source.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise SystemExit(
            f"{source}: expected WordNet 3.0's data.noun, SHA-256 {SHA256}, got {found}"
        )
    return data.decode().splitlines()


def glosses(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The (lexicographer's file, gloss) of every noun; lines of the licence begin with a blank."""
    for line in lines:
        head, _, gloss = line.partition(" | ")
        if not line.startswith(" "):
            yield int(head.split()[1]), gloss.split('; "')[0].strip()


def draw_examples(lines: Sequence[str]) -> tuple[list[Pair], list[Pair]]:
    """Draw (gloss, label) from the eight kinds, for training and for the test."""
    known: dict[str, str] = {}
    for number, gloss in glosses(lines):
        if number in LABELS:
            known.setdefault(gloss, LABELS[number])
    counts: Counter[str] = Counter()
    chosen = []
    for gloss, label in _shuffle(list(known.items()), "wordnet.choice"):
        counts[label] += 1
        if counts[label] <= EACH:
            chosen.append((gloss, label))
    mixed = _shuffle(chosen, "wordnet.split")
    return mixed[TEST:], mixed[:TEST]


def _shuffle(pairs: list[Pair], purpose: str) -> list[Pair]:
    order = np.argsort(raw_words(0, purpose, len(pairs)), kind="stable")
    return [pairs[i] for i in order]


def _write(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
