"""Decoders that transformers saved without a head: each family's, read and written again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from decoder_kinds import DECODERS, GATED, GPT2, OLDER
from honest_limits import limit_of
from letters import letters
from transformers import AutoModel

import lmkernel as lk

if TYPE_CHECKING:
    from pathlib import Path

PLAIN: dict[str, Any] = {
    "llama": ("LlamaConfig", GATED),
    "mistral": ("MistralConfig", GATED),
    "qwen2": ("Qwen2Config", GATED),
    "qwen3": ("Qwen3Config", {**GATED, "head_dim": 12}),
    "gpt2": ("GPT2Config", GPT2),
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    **PLAIN,
    **{name: (config, {**GATED, **options}) for name, (config, _, options) in DECODERS.items()},
    **{name: (config, options) for name, (config, _, options) in OLDER.items()},
}
IDS = [5, 9, 3, 7, 2]


def bare(kind: str, folder: Path, *, tied: bool) -> Any:
    """A random model of transformers without a head, saved with a tokenizer."""
    torch.manual_seed(4)
    config, options = KINDS[kind]
    described = getattr(transformers, config)(**{**options, "tie_word_embeddings": tied})
    made = AutoModel.from_config(described).eval()
    made.save_pretrained(folder)
    letters().save(folder)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_its_vectors_are_transformers_and_it_is_written_as_it_was(
    kind: str, tmp_path: Path
) -> None:
    model = bare(kind, tmp_path / "a", tied=False)
    ours = lk.load(tmp_path / "a", backend="numpy")
    assert ours.config.head is None
    expected = limit_of(model, IDS, lambda output: output.last_hidden_state)
    expected.judge("vectors", ours.hidden_states(IDS)[-1])
    ours.save(tmp_path / "b")
    written = json.loads((tmp_path / "b" / "config.json").read_text())
    assert written["architectures"] == [type(model).__name__]
    again, told = AutoModel.from_pretrained(tmp_path / "b", output_loading_info=True)
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys"))
    with torch.inference_mode():
        got = again.eval()(torch.tensor([IDS])).last_hidden_state[0].numpy()
    expected.judge("written", got)


@pytest.mark.parametrize("kind", ["llama", "gemma", "opt"])
def test_a_tied_one_predicts_by_its_table(kind: str, tmp_path: Path) -> None:
    bare(kind, tmp_path, tied=True)
    ours = lk.load(tmp_path, backend="numpy")
    causal = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    limit_of(causal, IDS, lambda output: output.logits).judge("logits", ours.logits(IDS))
