"""Recorded answers are taken as they are: nothing is converted until it fits."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel.errors import SubjectError
from lmkernel.verification.sequences import Question, Row
from lmkernel.verification.subject import Answer, Opening
from lmkernel.verification.subjects.file import open_file

if TYPE_CHECKING:
    from pathlib import Path

IDS = (3, 1, 4)
LOGITS = np.arange(15, dtype=np.float32).reshape(3, 5)
QUESTION = Question("tokens", (Row("tokens", IDS),))


def answer(path: Path, question: Question = QUESTION) -> Answer:
    return open_file(Opening(path, str(path))).answer(question, activations=True)


def saved(folder: Path, **arrays: Any) -> Path:
    """An archive; ``__`` in a name stands for the slash."""
    path = folder / "answers.npz"
    np.savez_compressed(path, **{name.replace("__", "/"): x for name, x in arrays.items()})
    return path


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int64, np.float32, ">i4"])
def test_ids_may_be_of_any_dtype_of_whole_numbers(tmp_path: Path, dtype: Any) -> None:
    made = answer(saved(tmp_path, tokens=LOGITS, tokens__ids=np.array(IDS, dtype)))
    assert np.array_equal(made.values, LOGITS[None])


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (np.array(IDS) + 0.9, r"'tokens': ids: expected whole numbers, got 3\.9$"),
        (np.array([3, np.nan, 4]), "ids: expected whole numbers, got nan"),
        (np.array(IDS, complex), "ids: expected whole numbers, got complex128"),
        (np.array(["3", "1", "4"]), "ids: expected whole numbers, got str"),
        (np.array([3, 1, 5]), "the ids are not those asked for"),
        (np.array([3, 1]), r"ids are not those asked for: expected 3, got the shape \(2,\)"),
    ],
)
def test_ids_are_not_converted_until_they_fit(tmp_path: Path, ids: Any, words: str) -> None:
    with pytest.raises(SubjectError, match=words):
        answer(saved(tmp_path, tokens=LOGITS, tokens__ids=ids))


@pytest.mark.parametrize(
    ("values", "got"),
    [
        (LOGITS + 1j, "complex64"),
        (LOGITS.astype(str), "str"),
        (LOGITS > 1, "bool"),
        (LOGITS.astype("V8"), "void"),
    ],
)
def test_values_are_real_numbers(tmp_path: Path, values: Any, got: str) -> None:
    with pytest.raises(SubjectError, match=f"'tokens': logits: expected real numbers, got {got}"):
        answer(saved(tmp_path, tokens=values))
    with pytest.raises(SubjectError, match=f"layer 1: expected real numbers, got {got}"):
        answer(saved(tmp_path, **{"tokens": LOGITS, "tokens/layer 1": values}))


def test_values_may_be_integers(tmp_path: Path) -> None:
    made = answer(saved(tmp_path, tokens=LOGITS.astype(np.int16)))
    assert np.array_equal(made.values, LOGITS[None])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"logits": [["1", "2"]] * 3}, "logits: expected real numbers, got str"),
        ({"logits": [[None]] * 3}, "logits: expected real numbers, got object"),
        ({"logits": [[1], []]}, "logits: expected an array of numbers"),
        ({"logits": [[1]] * 3, "ids": [3.9, 1, 4]}, r"ids: expected whole numbers, got 3\.9"),
        ({"logits": [[1]] * 3, "ids": ["3", "1", "4"]}, "ids: expected whole numbers, got str"),
    ],
)
def test_a_line_is_not_converted_until_it_fits(
    tmp_path: Path, given: dict[str, Any], words: str
) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"name": "tokens", **given}))
    with pytest.raises(SubjectError, match=words):
        answer(tmp_path / "a.jsonl")


def header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    """Of an array, without its numbers."""
    made = io.BytesIO()
    said = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(made, said)
    return made.getvalue()


def packed(folder: Path, **members: bytes) -> Path:
    path = folder / "answers.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name.replace('__', '/')}.npy", data)
    return path


@pytest.mark.parametrize("shape", [(2**40, 5), (3, 2**40), (3, 5, 2**40), (2**40,), ()])
def test_a_shape_that_cannot_be_is_refused_before_numbers_are_read(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    with pytest.raises(SubjectError, match=r"expected the shape \(3, columns\), got \("):
        answer(packed(tmp_path, tokens=header(shape)))
    with pytest.raises(SubjectError, match=r"expected the shape \(3,\), got \("):
        answer(packed(tmp_path, tokens__token_log_probs=header(shape)))
    with pytest.raises(SubjectError, match="expected 3, got the shape"):
        answer(packed(tmp_path, tokens=header((3, 5)), tokens__ids=header((*shape, 7), "<i4")))


def test_vectors_of_shown_pictures_are_bounded(tmp_path: Path) -> None:
    members = {"tokens/pictures final norm": header((2**30,))}
    with pytest.raises(SubjectError, match="pictures final norm: expected at most 67108864 num"):
        answer(packed(tmp_path, **members))


def test_activations_of_an_encoder_are_of_what_it_reads(tmp_path: Path) -> None:
    question = Question("tokens", (Row("tokens", IDS, target=(1, 2)),))
    names = {"tokens/layer 1": LOGITS, "tokens/decoder layer 1": LOGITS[:2]}
    made = answer(saved(tmp_path, tokens=LOGITS[:2], **names), question)
    assert {n: x.shape for n, x in made.activations.items()} == {
        "layer 1": (1, 3, 5),
        "decoder layer 1": (1, 2, 5),
    }


def test_one_vector_of_a_row_is_taken(tmp_path: Path) -> None:
    assert answer(saved(tmp_path, tokens=LOGITS[0])).values.shape == (1, 5)
    assert answer(saved(tmp_path, tokens__vectors=LOGITS[0])).kind == "vectors"


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    whole = io.BytesIO()
    np.save(whole, LOGITS)
    made = answer(packed(tmp_path, other=b"nothing of an array", tokens=whole.getvalue()))
    assert np.array_equal(made.values, LOGITS[None])


def write_plain(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, LOGITS)


def write_damaged(path: Path) -> None:
    np.savez(path, tokens=LOGITS)
    path.write_bytes(path.read_bytes().replace(LOGITS.tobytes(), LOGITS[::-1].tobytes()))


def write_longer(path: Path) -> None:
    packed(path.parent, tokens=header((3, 5)) + LOGITS.tobytes() + b"more").rename(path)


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("a.npz", lambda p: p.write_text("hello"), "expected an archive of arrays, got: File is"),
        ("a.npz", write_plain, "expected an archive of arrays, got a single array"),
        ("a.npz", write_damaged, "expected an array 'tokens', got: Bad CRC-32"),
        ("a.npz", write_longer, "expected an array 'tokens', got: more bytes than an array"),
        ("a.jsonl", lambda p: p.write_bytes(b'{"name": "\xff"}'), "expected UTF-8, got invalid"),
        ("a.jsonl", lambda p: p.write_text("[" * 100_000), "line 1: .*, got one nested too deep"),
    ],
)
def test_a_file_of_another_kind_is_named_in_a_sentence(
    tmp_path: Path, name: str, write: Any, words: str
) -> None:
    write(tmp_path / name)
    with pytest.raises(SubjectError, match=f"^{tmp_path / name}(: |, ){words}"):
        answer(tmp_path / name)
