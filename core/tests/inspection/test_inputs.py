"""What a caller gives is checked once, and every failure says what was expected and what came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from inspected import small_llama
from small import small_config

from lmkernel.errors import InputError
from lmkernel.inspection.inputs import (
    check_ids,
    layer_indices,
    prompt_ids,
    refuse_long,
    single_stack,
    token_rows,
)
from lmkernel.tasks.perplexities import perplexity
from lmkernel.tokenizers import Tokenizer
from lmkernel_conformance.cases.zoo import ZOO

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

CONFIG = small_config()


@pytest.mark.parametrize(
    ("given", "batched", "expected"),
    [
        ([3, 1, 4], False, [[3, 1, 4]]),
        ((3, 1, 4), False, [[3, 1, 4]]),
        (np.array([3, 1, 4], np.uint8), False, [[3, 1, 4]]),
        ([[3, 1], [4, 60]], True, [[3, 1], [4, 60]]),
        (np.array([[0]], np.int64), True, [[0]]),
        ([np.int64(3), np.int32(1)], False, [[3, 1]]),
    ],
)
def test_m13_ids_become_rows(given: Any, expected: list[list[int]], *, batched: bool) -> None:
    rows = check_ids(CONFIG, given)
    assert rows.ids.dtype == np.int32
    assert rows.ids.tolist() == expected
    assert rows.batched is batched


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "expected at least one token id, got none"),
        ([[], []], "expected at least one token id, got none"),
        ([1.0, 2.0], "expected integers as token ids, got an array of float64"),
        ([True, False], "expected integers as token ids, got booleans"),
        ([1, True], "expected integers as token ids, got booleans"),
        ([[1, 2], [3, np.True_]], "expected integers as token ids, got booleans"),
        (["a", "b"], "expected integers as token ids, got an array of <U1"),
        ([None], "expected integers as token ids, got an array of object"),
        ([2**80], "expected integers as token ids, got an array of object"),
        ([0, -1], "expected token ids in 0 … 60, got -1"),
        ([0, 61], "expected token ids in 0 … 60, got 61"),
        (np.array([2**63], np.uint64), f"expected token ids in 0 … 60, got {2**63}"),
        ([1] * 49, "expected at most 48 tokens, the model's context, got 49"),
        ([[1, 2], [3]], "expected rows of equal length, got lengths 2, 1"),
        ([[1, 2], 3], "expected rows of equal length, got numbers and rows together"),
        (7, "expected token ids in one or two dimensions, got 7"),
        ([[[1]]], "expected token ids in one or two dimensions, got 3"),
    ],
)
def test_m13_what_cannot_be_used_is_named(given: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_ids(CONFIG, given)
    assert str(caught.value) == message


def test_a_text_is_one_row_without_a_batch(tmp_path: Path) -> None:
    model = small_llama(tmp_path / "llama")
    rows = token_rows(model, "ab c")
    assert rows.ids.tolist() == [model.tokenizer.encode("ab c")]
    assert not rows.batched


def test_a_prompt_is_a_text_or_one_sequence(tmp_path: Path) -> None:
    model = small_llama(tmp_path / "llama")
    assert prompt_ids(model, "ab") == prompt_ids(model, np.array([3, 4])) == [3, 4]
    assert len(prompt_ids(model, [5] * 100)) == 100
    with pytest.raises(InputError, match="a text or one sequence of ids, got 2 rows of ids"):
        prompt_ids(model, [[1], [2]])


@pytest.mark.parametrize(
    "ask",
    [
        lambda model, text: model.generate(text),
        lambda model, text: model.logits(text),
        lambda model, text: model.log_probs(text),
        lambda model, text: model.log_probs("a", text),
        lambda model, text: model.embed([text]),
        perplexity,
    ],
)
def test_a_long_text_is_refused_by_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Any, str], object]
) -> None:
    model, read = small_llama(tmp_path / "llama"), [0]
    encode, encode_many = Tokenizer.encode, Tokenizer.encode_many

    def counting(self: Tokenizer, text: str, **options: Any) -> list[int]:
        read.append(len(text))
        return encode(self, text, **options)

    def counting_many(self: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
        read.extend(map(len, texts))
        return encode_many(self, texts)

    monkeypatch.setattr(Tokenizer, "encode", counting)
    monkeypatch.setattr(Tokenizer, "encode_many", counting_many)
    with pytest.raises(InputError, match=r"at most 48 tokens, the model's context, got a text of"):
        ask(model, "ab c " * 200_000)
    assert 0 < sum(read) < 200_000


def test_a_long_text_is_counted_piece_by_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, read = small_llama(tmp_path / "llama"), []

    def one_token(_: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
        read.extend(map(len, texts))
        return [[0] for _ in texts]

    monkeypatch.setattr(Tokenizer, "encode_many", one_token)
    with pytest.raises(InputError, match=r"the first 12713984 are more than 96 tokens"):
        refuse_long(model, "a" * 13_000_000)
    assert read == [131_072] * 97


def test_a_long_text_of_few_tokens_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tokenizer, "encode_many", lambda _, texts: [[0] for _ in texts])
    refuse_long(small_llama(tmp_path / "llama"), "a" * 12_000_000)


def test_rows_in_rows_without_end_are_refused() -> None:
    deep: list[Any] = [1]
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InputError, match="expected"):
        check_ids(CONFIG, deep)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_result_has_a_batch_where_the_input_had_one(axis: int) -> None:
    made = np.zeros((1, 1, 5))
    assert check_ids(CONFIG, [[3]]).drop_batch(made, axis).shape == (1, 1, 5)
    assert check_ids(CONFIG, [3]).drop_batch(made, axis).shape == (1, 5)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [(None, [0, 1, 2]), ([2, 0], [2, 0]), ([-1, -3], [2, 0]), ((1,), [1]), (range(2), [0, 1])],
)
def test_layers_are_counted_from_both_ends(layers: Any, expected: list[int]) -> None:
    assert layer_indices(3, layers) == expected


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([3], r"layers: expected numbers in -3 … 2, got \[3\]"),
        ([-4], r"layers: expected numbers in -3 … 2, got \[-4\]"),
        ([[1]], r"layers: expected numbers in -3 … 2, got \[\[1\]\]"),
        ([], "at least one layer number, got none"),
        ([True], "integers as layer numbers, got booleans"),
        ([0.5], "integers as layer numbers, got an array of float64"),
        (3, r"layers: expected numbers in -3 … 2, got \[3\]"),
        (True, "layer numbers in one or two dimensions, got True"),
    ],
)
def test_layers_that_are_not_there_are_named(layers: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        layer_indices(3, layers)


def test_a_lone_layer_is_one() -> None:
    assert layer_indices(3, -1) == [2]


def test_a_model_of_two_stacks_is_refused() -> None:
    with pytest.raises(InputError, match="an encoder or a decoder, got one with both"):
        single_stack(ZOO["t5"])
