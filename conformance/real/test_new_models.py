"""A model that is made here opens in transformers, and writes what it writes there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from family_kinds import GPT2, KINDS
from vocabulary_samples import byte_level

from lmkernel import load
from lmkernel.backend import load_backend
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.files import save_model
from lmkernel.generation import GenerationOptions
from lmkernel.model import Model
from lmkernel.tokenizers import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.config import ModelConfig

BIGRAMS = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}


def tokenizer() -> Tokenizer:
    return Tokenizer(byte_level(), {"eos_token": "<|endoftext|>"})


def test_a_new_model_opens_there(tmp_path: Path) -> None:
    made = tokenizer()
    hf = HfConfig({**BIGRAMS, "vocab_size": made.vocab_size, "resid_pdrop": 0.05})
    family = find_family("gpt2", "a new model")
    config: ModelConfig = family.read(hf)
    model = Model(load_backend(), config)
    save_model(
        tmp_path / "new",
        config,
        model.initial(5),
        family,
        declared=model.declare(),
        tokenizer=made,
    )
    opened: Any = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "new")
    opened.eval()
    assert opened.config.resid_pdrop == 0.05
    assert opened.config.eos_token_id == 0
    ids = transformers.AutoTokenizer.from_pretrained(tmp_path / "new")("the cat")["input_ids"]
    assert ids == made.encode("the cat")
    with torch.inference_mode():
        theirs = opened(torch.tensor([ids])).logits.numpy()
    ours = load(tmp_path / "new").logits([ids])
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize("backend", ["numpy", "torch", "tensorflow", "jax"])
def test_greedy_text_of_a_model_with_learned_positions(backend: str, tmp_path: Path) -> None:
    made = tokenizer()
    options: dict[str, Any] = {**GPT2, "vocab_size": made.vocab_size, "n_positions": 64}
    options = {**options, "bos_token_id": None, "eos_token_id": 0}
    model = replace(KINDS["gpt2"], options=options).make()
    model.save_pretrained(tmp_path)
    made.save(tmp_path)
    prompt = "the hat of the cat"
    ids = made.encode(prompt)
    given = torch.tensor([ids])
    out = model.generate(
        given, attention_mask=torch.ones_like(given), max_new_tokens=40, do_sample=False,
        pad_token_id=0,
    )  # fmt: skip
    expected = out[0, len(ids) :].tolist()
    loaded = load(tmp_path, backend=backend)
    greedy = GenerationOptions(max_new_tokens=40, temperature=0)
    rows = loaded.generate_tokens([ids], greedy)
    assert [token for [token] in rows if token is not None] == [i for i in expected if i]
    text = "".join(loaded.generate(prompt, greedy))
    assert text == made.decode(expected)
