"""Dumps of other programs: their own rows are asked, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from completions_server import own_logits

from lmkernel.errors import InputError, SubjectError

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [[3, 1, 4, 1, 5], [9, 2, 6]]


def write_golden(path: Path, logits: Any) -> str:
    """As MaxText writes golden logits, with columns of a padded vocabulary."""
    lines = [
        {"prompt": "?", "tokens": r, "logits": np.pad(logits(r), ((0, 0), (0, 3))).tolist()}
        for r in ROWS
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return f"file:{path}"


def write_debug(folder: Path, logits: Any) -> str:
    """As llama.cpp's debugging program writes the logits after a prompt."""
    np.array(ROWS[0], "<i4").tofile(folder / "llamacpp-q-tokens.bin")
    logits(ROWS[0])[-1].astype("<f4").tofile(folder / "llamacpp-q.bin")
    return f"file:{folder / 'llamacpp-q.bin'}"


def test_golden_logits_of_maxtext_are_judged(
    quick: Any, twins: dict[str, Path], tmp_path: Path
) -> None:
    own = own_logits(twins["qwen2"])
    found = quick("qwen2", write_golden(tmp_path / "g.jsonl", own))
    assert found.passed, found
    assert [row["ids"] for row in found.document["rows"]] == ROWS
    assert [g["state"] for g in found.document["guards"] if g["name"] == "vocabulary"] == ["note"]
    wrong = quick(
        "qwen2", write_golden(tmp_path / "w.jsonl", lambda i: own(i) * 1.01), diagnosing=False
    )
    assert not wrong.passed


def test_the_last_logits_of_llama_cpp_are_judged(
    quick: Any, twins: dict[str, Path], tmp_path: Path
) -> None:
    own = own_logits(twins["qwen2"])
    found = quick("qwen2", write_debug(tmp_path, own))
    assert found.passed, found
    assert found.document["metrics"]["positions"] == 1
    assert not quick(
        "qwen2", write_debug(tmp_path, lambda i: own(i) * 1.01), diagnosing=False
    ).passed


def write_base(path: Path, logits: Any, ids: Any) -> str:
    """As llama.cpp writes log-probabilities in 65,536 steps, of the second half of each chunk."""
    chunks, context = ids.shape
    records = []
    for row in ids.tolist():
        x = logits(row)[context // 2 : context - 1].astype(np.float32)
        top, low = x.max(-1, keepdims=True), np.maximum(x.min(-1), x.max(-1) - 16)[:, None]
        step = (top - low) / np.float32(65535)
        lowest = low - top - np.log(np.exp(x - top).sum(-1, keepdims=True))
        steps = np.rint(np.maximum(x - low, 0) / step).astype("<u2")
        odd = np.zeros((len(x), x.shape[1] % 2), "<u2")
        numbers = [step.astype("<f4").view("<u2"), lowest.astype("<f4").view("<u2")]
        records.append(np.concatenate([*numbers, steps, odd], -1))
    header = np.array([context, x.shape[1], chunks], "<i4").tobytes()
    path.write_bytes(
        b"_logits_" + header + ids.astype("<i4").tobytes() + np.stack(records).tobytes()
    )
    return f"file:{path}"


def test_log_probabilities_of_llama_cpp_are_judged_within_their_steps(
    quick: Any, twins: dict[str, Path], tmp_path: Path
) -> None:
    own, ids = own_logits(twins["qwen2"]), np.arange(32).reshape(2, 16)
    name = write_base(tmp_path / "a.kld", own, ids)
    found = quick("qwen2", name, options={"chunks": "2"})
    assert found.passed, found
    assert found.document["subject"]["versions"] == {"chunks": "2 of 2"}
    assert found.document["metrics"]["positions"] == 14
    # a hundredth of a logit is fifty steps
    off = write_base(tmp_path / "b.kld", lambda i: own(i) + 0.01 * (np.arange(61) == 7), ids)
    assert not quick("qwen2", off, diagnosing=False).passed


def test_a_first_token_that_was_put_there_is_said(
    quick: Any, twins: dict[str, Path], tmp_path: Path
) -> None:
    own, ids = own_logits(twins["qwen2"]), np.arange(32).reshape(2, 16)
    name = write_base(tmp_path / "a.kld", lambda i: own([1, *i[1:]]), ids)
    assert quick("qwen2", name, options={"bos": "1"}).passed
    assert not quick("qwen2", name, diagnosing=False).passed


def test_other_rows_cannot_be_asked(quick: Any, twins: dict[str, Path], tmp_path: Path) -> None:
    name = write_golden(tmp_path / "g.jsonl", own_logits(twins["qwen2"]))
    with pytest.raises(InputError, match="holds answers to rows of its own"):
        quick("qwen2", name, ids=[[1, 2]])


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.bin": b"1234"}, "with NAME-tokens.bin beside it"),
        ({"a-tokens.bin": b"1234"}, "with NAME-tokens.bin beside it"),
        ({"a.bin": b"12345", "a-tokens.bin": b"\1\0\0\0"}, "numbers of 4 bytes each, got 5"),
        ({"a.bin": b"1234", "a-tokens.bin": b""}, "numbers of 4 bytes each, got 0"),
        ({"a.bin": b"1234", "a-tokens.bin": b"\1\0\0\0"}, r"\(1, 1, 61\), got \(1, 1, 1\)"),
        ({"a.kld": b"_logits_" + b"\1\0\0\0" * 3}, "1 chunks of 1 positions and 1 tokens in 20"),
        ({"a.jsonl": b'{"tokens": []}'}, "tokens: expected a list of token ids, got"),
        ({"a.jsonl": b'{"tokens": [1]}'}, "line 1: expected logits beside tokens, got tokens"),
        ({"a.jsonl": b'{"tokens": [1], "logits": [[1]]}\n{"name": "x"}'}, "with tokens, got both"),
    ],
)
def test_a_dump_that_does_not_fit_is_said(
    files: dict[str, bytes], words: str, quick: Any, tmp_path: Path
) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(SubjectError, match=words):
        quick("qwen2", f"file:{tmp_path / next(iter(files))}")
