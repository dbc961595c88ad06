"""The loss of texts without a chat template, beside transformers on what its tokenizer makes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tokenizers import processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import lmkernel as lk
from lmkernel.training.data.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
    "initializer_range": 0.5,
}
TEXTS = ["Ada Lovelace wrote to Charles Babbage.", "Nothing", "Zürich, é 😀"]
PAIRS = [("Who wrote?", " Ada did."), ("Where was", " she? In London."), ("Zürich", " é 😀")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small Llama whose tokenizer puts a token before a text, as Llama's own do."""
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "home"))
    first, place = tmp_path / "t", tmp_path / "m"
    first.mkdir()
    train_tokenizer(TEXTS * 3, 290).save(first)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(first)
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
    )
    tokenizer.save_pretrained(place)
    torch.manual_seed(5)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    LlamaForCausalLM(LlamaConfig(**SIZES, **ends)).save_pretrained(place)
    return place


def mean_loss(folder: Path, rows: list[list[int]], seen: list[int]) -> tuple[float, int]:
    """Of all tokens of rows but those that are only seen, the first so many of each."""
    model: Any = LlamaForCausalLM.from_pretrained(folder).eval()
    total, count = 0.0, 0
    for ids, first in zip(rows, seen, strict=True):
        labels = [-100] * first + ids[first:]
        with torch.no_grad():
            loss = model(torch.tensor([ids]), labels=torch.tensor([labels])).loss
        total, count = total + float(loss) * len(ids[first:]), count + len(ids[first:])
    return total / count, count


def test_prompts_begin_as_they_do_when_a_model_goes_on_from_them(folder: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    data = folder.with_name("pairs.jsonl")
    lines = [json.dumps({"prompt": asked, "completion": said}) for asked, said in PAIRS]
    data.write_text("\n".join(lines), "utf-8")
    rows = [[*tokenizer(asked + said).input_ids, tokenizer.eos_token_id] for asked, said in PAIRS]
    loss, count = mean_loss(folder, rows, [len(tokenizer(asked).input_ids) for asked, _ in PAIRS])
    found = lk.evaluate(folder, data, objective="instruction", backend="numpy", progress=False)
    assert found["targets"] == count
    assert found["loss"] == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("text", TEXTS)
def test_a_document_costs_what_its_perplexity_says_and_its_end(folder: Path, text: str) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    data = folder.with_name("a.jsonl")
    data.write_text(json.dumps({"text": text}), "utf-8")
    ids = [*tokenizer(text).input_ids, tokenizer.eos_token_id]
    loss, count = mean_loss(folder, [ids], [1])
    found = lk.evaluate(folder, data, objective="causal", backend="numpy", progress=False)
    assert found["targets"] == count
    assert found["loss"] == pytest.approx(loss, rel=1e-4)
