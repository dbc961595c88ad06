"""A model whose weights are held with few bits: the answers of its numbers, and less memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gguf
import numpy as np
import pytest
from gguf_samples import HIDDEN, INNER, WORDS, weights, write_gguf

import lmkernel
from lmkernel.cli.main import main
from lmkernel.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

Kind = gguf.GGMLQuantizationType
IDS = [5, 17, 200, 3, 61]


def load(path: Path, held: str | None = None, **options: Any) -> lmkernel.LanguageModel:
    return lmkernel.load(path, backend="numpy", progress=False, weights=held, **options)


def array_bytes(tree: Any) -> int:
    if isinstance(tree, dict | list):
        return sum(map(array_bytes, tree.values() if isinstance(tree, dict) else tree))
    return int(tree.nbytes)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_stored_blocks_answer_as_their_numbers(tmp_path: Path, kind: str) -> None:
    path = write_gguf(tmp_path / "x.gguf", kind=Kind[kind])
    plain, held = load(path), load(path, "stored")
    np.testing.assert_array_equal(plain.logits(IDS), held.logits(IDS))
    asked = {"max_new_tokens": 4}
    assert list(held.generate_tokens([IDS], **asked)) == list(plain.generate_tokens([IDS], **asked))
    block, size = gguf.GGML_QUANT_SIZES[Kind[kind]]
    # the last products of the two networks are float32 in the sample
    numbers = sum(x.size for x in weights().values()) - 2 * HIDDEN * INNER - 5 * HIDDEN
    expected = numbers // block * size + 4 * (2 * HIDDEN * INNER + 5 * HIDDEN)
    assert array_bytes(held.params) == held.describe().weight_bytes == expected


@pytest.mark.parametrize(
    ("held", "bits", "most"),
    [("int8", 8, 0.011), ("int4", 5, 0.1), ("int8,group=32,asymmetric", 9.25, 0.008)],
)
def test_weights_are_quantised_when_loading(
    tmp_path: Path, held: str, bits: float, most: float
) -> None:
    path = write_gguf(tmp_path / "x.gguf")
    plain, few = load(path), load(path, held)
    assert few.holding is not None
    assert 0 < max(few.holding.errors.values()) < most
    assert few.describe().weight_bytes == few.holding.bytes
    rows = sum(len(x) for x in weights().values())
    assert array_bytes(few.params) <= few.holding.bytes + 6 * rows  # rows of codes end with a word
    table = WORDS * (HIDDEN + 4)  # a table of tokens has a byte and a scale a row
    matrices = few.holding.bytes - table - 4 * 5 * HIDDEN
    numbers = sum(x.size for x in weights().values()) - 5 * HIDDEN - WORDS * HIDDEN
    assert matrices <= numbers * bits / 8 + 4 * 2 * (5 * HIDDEN + 2 * INNER)
    distance = np.abs(plain.logits(IDS) - few.logits(IDS)).max() / np.abs(plain.logits(IDS)).max()
    assert 0 < distance < most * 20


def test_siblings_of_several_kinds_stay_apart(tmp_path: Path) -> None:
    """llama.cpp's mixtures hold values in more bits than queries and keys."""
    tensors: dict[str, Any] = dict(weights())
    for name, value in weights().items():
        if "attn_v" in name:
            tensors[name] = (gguf.quants.quantize(value, Kind.Q8_0), Kind.Q8_0)
    path = write_gguf(tmp_path / "x.gguf", kind=Kind.Q4_0, tensors=tensors)
    plain, held = load(path), load(path, "stored")
    assert set(held.params["decoder"]["layers"][0]["attention"]) == {"q", "k", "v", "o"}
    budget = 1e-4 * np.abs(plain.logits(IDS)).max()  # one product in place of three, summed alike
    np.testing.assert_allclose(plain.logits(IDS), held.logits(IDS), rtol=0, atol=budget)


def test_another_dtype_keeps_the_bits(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", kind=Kind.Q8_0)
    held = load(path, "stored", dtype="float64")
    exact = load(path, dtype="float64")
    np.testing.assert_array_equal(exact.logits(IDS), held.logits(IDS))
    again = held.to(dtype="float32")
    assert again.describe().weights == "stored (q8_0)"


@pytest.mark.parametrize("held", ["q4_0", "int2", "", 8])
def test_other_words_are_refused(tmp_path: Path, held: Any) -> None:
    with pytest.raises(InputError, match="weights: expected"):
        load(write_gguf(tmp_path / "x.gguf"), held)


def test_a_command_prints_the_error_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_gguf(tmp_path / "x.gguf")
    options = ["--backend", "numpy", "--weights", "int8", "--max-new-tokens", "2"]
    assert main(["generate", str(path), "hell", *options]) == 0
    said = capsys.readouterr().err
    assert "weights: " in said
    assert "int8 (int8; error 0." in said
    assert "of a weight's size, at most 0." in said
