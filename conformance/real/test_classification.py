"""A classifier's labels and scores, as transformers' own pipeline gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    pipeline,
)

from lmkernel import classify, load
from lmkernel.families.bert import Bert
from lmkernel.training.data.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["a good film", "bad", "é 😀 " * 12, ""]


@pytest.mark.parametrize(
    "said",
    [
        {"id2label": {0: "bad", 1: "so", 2: "good"}},
        {"num_labels": 2},
        {"id2label": {0: "x", 1: "y"}, "problem_type": "multi_label_classification"},
        {"num_labels": 1},
    ],
)
def test_labels_and_scores_are_those_of_transformers(tmp_path: Path, said: dict[str, Any]) -> None:
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=300,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=128,
        initializer_range=0.5,
        **said,
    )
    BertForSequenceClassification(config).eval().save_pretrained(tmp_path)
    train_tokenizer(TEXTS, 300, Bert().special_tokens()).save(tmp_path)
    theirs = pipeline(
        "text-classification",
        model=BertForSequenceClassification.from_pretrained(tmp_path),
        tokenizer=PreTrainedTokenizerFast.from_pretrained(tmp_path),
        top_k=None,
    )
    ours = load(tmp_path, backend="numpy")
    for text, found in zip(TEXTS, classify(ours, TEXTS), strict=True):
        expected = {one["label"]: one["score"] for one in theirs([text])[0]}
        assert found.scores == pytest.approx(expected, abs=1e-5)
        assert found.label == max(expected, key=expected.__getitem__)
