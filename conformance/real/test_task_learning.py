"""Small encoders learn to tag and to answer from real text, and beat baselines over three seeds.

Tagging: the words of Python's own sources, each with the part that it plays by the parser; the
baseline gives each word the tag that it had most often. Answers: paragraphs of Python's own help
with a span of each kind that is asked for, or none; the baseline is the better of two constants, no
answer and the first word.
"""

from __future__ import annotations

import ast
import collections
import inspect
import io
import json
import keyword
import re
import tokenize
from typing import TYPE_CHECKING, Any

import pytest

import lmkernel as lk
from lmkernel.training.data.answers import exact_match, span_f1

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BACKENDS = ("torch", "jax")
SEEDS = (0, 1, 2)
SIZES: dict[str, Any] = {"width": 64, "layers": 2, "heads": 4, "context": 96, "vocab": 800}
MODULES = (ast, collections, inspect, json, keyword, re, tokenize)
LONGEST = 24
ASKED = {"code": r"``([^`\n]+)``", "section": r"section \*([^*\n]+)\*", "number": r"\b(\d+)\b"}


def roles(source: str) -> dict[tuple[int, int], str]:
    """The part that a name plays, by where it stands."""
    found: dict[tuple[int, int], str] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg):
            found[node.lineno, node.col_offset] = "B-PARAMETER"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found[node.func.lineno, node.func.col_offset] = "B-CALL"
        elif isinstance(node, ast.keyword) and node.arg:
            found[node.lineno, node.col_offset] = "B-KEYWORD"
        elif isinstance(node, ast.FunctionDef):
            found[node.lineno, node.col_offset + len("def ")] = "B-FUNCTION"
        elif isinstance(node, ast.Attribute):
            end = node.end_col_offset or 0
            found[node.end_lineno or 0, end - len(node.attr)] = "B-ATTRIBUTE"
    return found


def tagged() -> Iterator[dict[str, list[str]]]:
    """Logical lines of sources: their words, each with its tag."""
    for module in MODULES:
        source = inspect.getsource(module)
        parts = roles(source)
        words: list[str] = []
        tags: list[str] = []
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.NEWLINE:
                if 3 <= len(words) <= LONGEST and set(tags) != {"O"}:
                    yield {"tokens": words, "tags": tags}
                words, tags = [], []
            elif token.string.strip() and token.type in (tokenize.NAME, tokenize.OP):
                words.append(token.string)
                tags.append(parts.get(token.start, "O"))


def asked() -> Iterator[dict[str, Any]]:
    """Paragraphs with a question of each kind, and its answer where the paragraph has one."""
    from pydoc_data.topics import topics

    for text in topics.values():
        for paragraph in re.split(r"\n\s*\n", text):
            plain = " ".join(paragraph.split())
            if not 40 <= len(plain) <= 160:
                continue
            for kind, pattern in ASKED.items():
                match = re.search(pattern, plain)
                answers = {"text": [match[1]], "answer_start": [match.start(1)]} if match else None
                if answers or kind == "code":
                    nothing: dict[str, list[Any]] = {"text": [], "answer_start": []}
                    yield {"question": kind, "context": plain, "answers": answers or nothing}


def split(rows: list[Any], folder: Path) -> tuple[Path, Path, list[Any], list[Any]]:
    """Every sixth row is held out."""
    held = rows[::6]
    seen = [row for i, row in enumerate(rows) if i % 6]
    files = folder / "train.jsonl", folder / "test.jsonl"
    for path, part in zip(files, (seen, held), strict=True):
        path.write_text("".join(json.dumps(row) + "\n" for row in part))
    return (*files, seen, held)


def tag_baseline(seen: list[Any], held: list[Any]) -> float:
    """The entity F1 of each word's most frequent tag."""
    from seqeval.metrics import f1_score

    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for row in seen:
        for word, tag in zip(row["tokens"], row["tags"], strict=True):
            counts[word][tag] += 1
    said = [
        [counts[word].most_common(1)[0][0] if word in counts else "O" for word in row["tokens"]]
        for row in held
    ]
    return float(f1_score([row["tags"] for row in held], said))


def answer_baseline(held: list[Any], measure: Any) -> float:
    """The better of two constants: no answer, and the first word."""
    constants = (lambda _: "", lambda row: row["context"].split()[0])
    return max(
        sum(measure(say(row), row["answers"]["text"]) for row in held) / len(held)
        for say in constants
    )


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT, a little pre-trained on the texts of both."""
    folder = tmp_path_factory.mktemp("encoder")
    words = [" ".join(row["tokens"]) for row in tagged()]
    texts = [f"{row['question']} {row['context']}" for row in asked()]
    (folder / "texts.txt").write_text("\n\n".join([*words, *texts]))
    run = lk.pretrain(
        folder / "texts.txt",
        family="bert",
        objective="masked",
        steps=60,
        batch=16,
        backend="torch",
        out=folder / "run",
        progress=False,
        settings={"data.blank_lines": True},
        **SIZES,
    )
    return run.model


def learned(
    encoder: Path, objective: str, seen: Path, held: Path, out: Path, **how: Any
) -> dict[str, float]:
    run = lk.finetune(
        encoder,
        seen,
        validation=held,
        objective=objective,
        batch=16,
        learning_rate=2e-3,
        out=out,
        progress=False,
        settings={"training.evaluate_every": 0, "training.checkpoint_every": 0},
        **how,
    )
    return dict(run.evaluation)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_tagger_beats_the_most_frequent_tag(
    encoder: Path, tmp_path: Path, backend: str, seed: int
) -> None:
    seen, held, train, test = split(list(tagged()), tmp_path)
    found = learned(
        encoder, "tagging", seen, held, tmp_path / "run", backend=backend, seed=seed, steps=200
    )
    baseline = tag_baseline(train, test)
    assert found["entity_f1"] > baseline + 0.1, (found, baseline)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_answers_beat_constants(encoder: Path, tmp_path: Path, backend: str, seed: int) -> None:
    seen, held, _, test = split(list(asked()), tmp_path)
    found = learned(
        encoder, "answers", seen, held, tmp_path / "run", backend=backend, seed=seed, steps=200
    )
    assert found["span_f1"] > answer_baseline(test, span_f1) + 0.1, found
    assert found["exact_match"] > answer_baseline(test, exact_match) + 0.1, found
