"""Classifiers and reward models of decoders, beside transformers' own classes of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoModelForSequenceClassification

import lmkernel as lk
from lmkernel.families.llama import Llama
from lmkernel.training.data.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["a good film", "bad", "nothing much to say of it"]
SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "initializer_range": 0.4,
    "pad_token_id": 0,
}
FAMILIES = ("Llama", "Qwen3", "Gemma2", "GPT2", "GPTNeoX")
BACKENDS = ("numpy", "torch")


def written(folder: Path, kind: str, labels: tuple[str, ...]) -> Any:
    torch.manual_seed(7)
    made = getattr(transformers, f"{kind}Config")
    known = made().to_dict()
    said = {k: v for k, v in SIZES.items() if k in known or k == "pad_token_id"}
    if kind == "GPT2":
        said |= {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    config = made(**said, id2label=dict(enumerate(labels)))
    model = getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()
    model.save_pretrained(folder)
    train_tokenizer(TEXTS, 300, Llama().special_tokens()).save(folder)
    return model


def their_logits(model: Any, ids: list[int]) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = model(torch.tensor([ids])).logits[0].double().numpy()
    return found


@pytest.mark.parametrize("kind", FAMILIES)
def test_logits_are_those_of_transformers_and_what_is_written_opens_there(
    tmp_path: Path, kind: str
) -> None:
    theirs = written(tmp_path / "a", kind, ("bad", "so", "good"))
    ours = lk.load(tmp_path / "a", backend="numpy")
    ours.save(tmp_path / "b")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "b").eval()
    assert type(again) is type(theirs)
    assert again.config.id2label == {0: "bad", 1: "so", 2: "good"}
    for text in TEXTS:
        ids = ours.token_ids(text)
        expected = their_logits(theirs, ids)
        np.testing.assert_allclose(ours.logits(ids), expected, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(their_logits(again, ids), expected, rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_reward_model_has_one_score_for_each_of_several_texts(
    tmp_path: Path, backend: str
) -> None:
    theirs = written(tmp_path / "a", "Llama", ("reward",))
    ours = lk.load(tmp_path / "a", backend=backend)
    found = lk.classify(ours, TEXTS)
    for text, one in zip(TEXTS, found, strict=True):
        [score] = their_logits(theirs, ours.token_ids(text))
        assert one.scores["reward"] == pytest.approx(1 / (1 + np.exp(-score)), rel=1e-4)
    ranked = lk.rerank(ours, ("a ", TEXTS)).ranked
    assert len(ranked) == len(TEXTS)


def test_a_decoder_learns_classes_and_opens_in_transformers(tmp_path: Path) -> None:
    data = tmp_path / "a.jsonl"
    rows = [{"text": f"row {n} {'ab'[n % 2]}", "label": ("x", "y")[n % 2]} for n in range(24)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sizes = {"width": 16, "layers": 1, "heads": 2, "context": 32, "vocab": 270}
    start = lk.pretrain(
        data, family="llama", steps=1, batch=2, out=tmp_path / "p", progress=False, **sizes
    )
    run = lk.finetune(
        start.model,
        data,
        objective="classification",
        steps=40,
        batch=8,
        learning_rate=1e-2,
        out=tmp_path / "run",
        progress=False,
    )
    theirs = AutoModelForSequenceClassification.from_pretrained(run.model).eval()
    assert type(theirs).__name__ == "LlamaForSequenceClassification"
    ours = lk.load(run.model, backend="numpy")
    ids = ours.token_ids("row 3 b")
    np.testing.assert_allclose(ours.logits(ids), their_logits(theirs, ids), rtol=1e-4, atol=1e-5)
    assert ours.classify("row 3 b").label == "y"
