"""Vectors from the command: a JSON object a text, a file of NumPy, or the nearest texts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from inspected import small_encoder
from training_files import done, rows, said

from lmkernel.inspection import embed

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]
TEXTS = ["abc", "abd", "xyz q"]


def lines(capsys: Capture, *arguments: object) -> list[Any]:
    capsys.readouterr()
    done("embed", *arguments)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_vectors_are_those_of_the_verb(tmp_path: Path, capsys: Capture) -> None:
    expected = embed(small_encoder(tmp_path / "m"), TEXTS, "max", normalize=True)
    how = ("--pooling", "max", "--normalize", "--dtype", "float64")
    found = lines(capsys, tmp_path / "m", *TEXTS, *how, "--batch", 2)
    assert [one["text"] for one in found] == TEXTS
    got = np.array([one["vector"] for one in found], np.float32)
    np.testing.assert_array_equal(got, expected)
    data = rows(tmp_path / "a.jsonl", ({"text": text} for text in TEXTS))
    assert lines(capsys, tmp_path / "m", "--data", data, *how) == found
    for name in ("v.npy", "v.npz"):
        assert lines(capsys, tmp_path / "m", *TEXTS, *how, "--out", tmp_path / name) == []
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy"), expected)
    whole = np.load(tmp_path / "v.npz")
    np.testing.assert_array_equal(whole["vectors"], expected)
    assert whole["texts"].tolist() == TEXTS


def test_the_nearest_texts_are_printed(tmp_path: Path, capsys: Capture) -> None:
    small_encoder(tmp_path / "m")
    found = lines(capsys, tmp_path / "m", "abc", "xyz", "abc", "--similar", 1)
    assert found[0]["similar"] == found[2]["similar"]
    assert found[0]["similar"] == [{"text": "abc", "score": 1.0}]
    every = lines(capsys, tmp_path / "m", *TEXTS, "--similar")
    assert [len(one["similar"]) for one in every] == [2, 2, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a", "--out", "v.txt"), "--out: expected a name that ends in .npy or .npz, got 'v.txt'"),
        (("a", "--similar", "0"), "--similar: expected a whole number of at least 1, got 0"),
        (("a", "--batch", "0"), "--batch: expected a whole number of at least 1, got 0"),
        (("a", "--truncate"), "--truncate: the model's folder says where longer texts are cut"),
        (("a", "--data", "x"), "expected texts as arguments or --data, got both"),
        (("a", "--prompt", "q"), "unknown prompt 'q'"),
        (("a", "--pooling", "q"), "unknown pooling 'q'"),
    ],
)
def test_what_cannot_be_embedded_is_said(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: Capture
) -> None:
    small_encoder(tmp_path / "m")
    assert message in said(capsys, "embed", tmp_path / "m", *arguments)
