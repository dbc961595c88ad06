"""llama.cpp on twins written as GGUF: right in each arithmetic, and a wrong one is seen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from lmkernel_llama_cpp.subject import arithmetic_of

import lmkernel as lk
from lmkernel.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

LLAMA = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 512,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
}


def write_gguf(path: Path, kind: str, **changes: Any) -> Path:
    """A random Llama with matrices of one kind of ggml's, by the library of the format."""
    import gguf

    c, rng = {**LLAMA, **changes}, np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(c["max_position_embeddings"])
    writer.add_embedding_length(c["hidden_size"])
    writer.add_block_count(c["num_hidden_layers"])
    writer.add_feed_forward_length(c["intermediate_size"])
    writer.add_head_count(c["num_attention_heads"])
    writer.add_head_count_kv(c["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(c["rms_norm_eps"])
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(c["vocab_size"])
    letters = [chr(c) for c in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + i) for i in range(256 - len(letters))]
    more = [f"<{i}>" for i in range(c["vocab_size"] - 257)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*letters, "th", *more])
    writer.add_token_types([1] * 257 + [4] * len(more))
    writer.add_token_merges(["t h"])
    writer.add_eos_token_id(300)
    own = gguf.GGMLQuantizationType[kind]

    def matrix(name: str, rows: int, columns: int, spread: float) -> None:
        values = (rng.standard_normal((rows, columns)) * spread).astype(np.float32)
        writer.add_tensor(name, gguf.quants.quantize(values, own), raw_dtype=own)

    def norm(name: str) -> None:
        values = 1 + 0.2 * rng.standard_normal(c["hidden_size"]).astype(np.float32)
        writer.add_tensor(name, values.astype(np.float32))

    width, inner, vocab = c["hidden_size"], c["intermediate_size"], c["vocab_size"]
    keys = width * c["num_key_value_heads"] // c["num_attention_heads"]
    matrix("token_embd.weight", vocab, width, 1.0)
    matrix("output.weight", vocab, width, width**-0.5)
    norm("output_norm.weight")
    for i in range(c["num_hidden_layers"]):
        for name in ("attn_norm", "ffn_norm"):
            norm(f"blk.{i}.{name}.weight")
        for name, rows in (("attn_q", width), ("attn_k", keys), ("attn_v", keys)):
            matrix(f"blk.{i}.{name}.weight", rows, width, 2 * width**-0.5)
        matrix(f"blk.{i}.attn_output.weight", width, width, width**-0.5)
        for name in ("ffn_gate", "ffn_up"):
            matrix(f"blk.{i}.{name}.weight", inner, width, width**-0.5)
        matrix(f"blk.{i}.ffn_down.weight", width, inner, inner**-0.5)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("kind", "arithmetic"),
    [("F32", "float32"), ("F16", "float16"), ("Q8_0", "int8x32"), ("Q4_0", "int8x32")],
)
def test_it_is_right_within_the_budget_of_its_arithmetic(
    kind: str, arithmetic: str, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "m.gguf", kind)
    assert arithmetic_of(path) == arithmetic
    found = lk.verify(path, subject="llama-cpp", level="quick", progress=False)
    assert found.passed, found
    assert found.document["subject"]["dtype"] == arithmetic
    assert all(q["asked"] for q in found.document["questions"] if len(q["rows"]) == 1)


@pytest.mark.parametrize("kind", ["F32", "Q8_0"])
def test_another_epsilon_is_seen_through_the_rounding(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import llama_cpp

    path = write_gguf(tmp_path / "m.gguf", kind, rms_norm_eps=0.3)
    other, own = write_gguf(tmp_path / "other.gguf", kind), llama_cpp.Llama
    monkeypatch.setattr(llama_cpp, "Llama", lambda _, **options: own(str(other), **options))
    found = lk.verify(path, subject="llama-cpp", level="quick", progress=False)
    assert not found.passed
    assert found.diagnoses[:1] == ("norm.eps",)


def test_a_folder_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    twin = lk.twin(tmp_path / "config.json", tmp_path / "twin").path
    with pytest.raises(InputError, match="expected a GGUF file"):
        lk.verify(twin, subject="llama-cpp", progress=False)
