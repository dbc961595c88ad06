"""The output: pooled or not, through a dense layer or not, dropped in training alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small import values_of
from small_bert import small_bert

from lmkernel.backend import load_backend
from lmkernel.errors import InputError
from lmkernel.model import Model

TOKENS = np.array([[7, 3, 9, 27, 20], [1, 4, 16, 3, 12]], np.int32)
POSITIONS = np.array([[-1, -1, 0, 1, 2], [0, 1, 2, 3, -1]], np.int32)
CLASSES = "BertForSequenceClassification"


def run(model: Model, tokens: np.ndarray, positions: np.ndarray, key: Any = None) -> np.ndarray:
    backend, ops = model.backend, model.backend.ops
    with backend.scope():
        params = model.place(values_of(model))
        arrays = [ops.asarray(x, "int32") for x in (tokens, positions)]
        key = None if key is None else ops.asarray(key, "int32")
        return ops.to_numpy(model.forward(params, arrays[0], positions=arrays[1], key=key))


@pytest.mark.parametrize(
    ("architecture", "shape"),
    [("BertModel", (2, 24)), ("BertForMaskedLM", (2, 5, 61)), (CLASSES, (2, 3))],
)
def test_shape_follows_the_pooling(architecture: str, shape: tuple[int, ...]) -> None:
    model = Model(load_backend(), small_bert(architecture, num_labels=3))
    assert run(model, TOKENS, POSITIONS).shape == shape


def test_padding_is_not_pooled() -> None:
    model = Model(load_backend(), small_bert("BertModel"))
    whole = run(model, TOKENS, POSITIONS)
    alone = run(model, TOKENS[:1, 2:], POSITIONS[:1, 2:])
    np.testing.assert_allclose(whole[:1], alone, rtol=0, atol=1e-5)


def test_head_drops_in_training_alone() -> None:
    config = small_bert(CLASSES, hidden_dropout_prob=0.0, classifier_dropout=0.5)
    model = Model(load_backend(), config)
    still, moved = run(model, TOKENS, POSITIONS), run(model, TOKENS, POSITIONS, [3, 5])
    assert (still != moved).any()
    assert config.head is not None
    without = Model(load_backend(), replace(config, head=replace(config.head, dropout=0.0)))
    np.testing.assert_array_equal(run(without, TOKENS, POSITIONS, [3, 5]), still)


def test_a_pooled_output_cannot_be_decoded() -> None:
    bert = small_bert("BertModel")
    model = Model(load_backend(), replace(bert, encoder=None, decoder=bert.encoder))
    with pytest.raises(InputError, match="a head for each position, got one that pools"):
        model.begin(model.pack(values_of(model)), 1, 4)
