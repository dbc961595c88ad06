"""Small GGUF files made for the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gguf
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN, HEADS, KEYS, INNER, LAYERS, WORDS = 64, 4, 2, 96, 2, 262
WIDTH = HIDDEN // HEADS
QUANTISED = ("token_embd", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up")
EPSILON = 1e-5


def weights(architecture: str = "llama") -> dict[str, np.ndarray]:
    """GGUF names and float32 values of a small model."""
    random = np.random.default_rng(5)
    shapes = {"token_embd": (WORDS, HIDDEN), "output_norm": (HIDDEN,)}
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        shapes |= {
            block + "attn_norm": (HIDDEN,),
            block + "attn_q": (HEADS * WIDTH, HIDDEN),
            block + "attn_k": (KEYS * WIDTH, HIDDEN),
            block + "attn_v": (KEYS * WIDTH, HIDDEN),
            block + "attn_output": (HIDDEN, HIDDEN),
            block + "ffn_norm": (HIDDEN,),
            block + "ffn_gate": (INNER, HIDDEN),
            block + "ffn_up": (INNER, HIDDEN),
            block + "ffn_down": (HIDDEN, INNER),
        }
    tensors = {f"{name}.weight": shape for name, shape in shapes.items()}
    for layer in range(LAYERS):
        if architecture == "qwen3":
            tensors |= {f"blk.{layer}.attn_{x}_norm.weight": (WIDTH,) for x in "qk"}
        if architecture == "qwen2":
            rows = {"q": HEADS, "k": KEYS, "v": KEYS}
            tensors |= {f"blk.{layer}.attn_{x}.bias": (n * WIDTH,) for x, n in rows.items()}
    return {
        name: random.standard_normal(shape).astype(np.float32) for name, shape in tensors.items()
    }


def byte_tokens() -> list[str]:
    """The 256 bytes as byte-level BPE spells them."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    spelling = {byte: chr(byte) for byte in plain} | {b: chr(256 + i) for i, b in enumerate(rest)}
    return [spelling[byte] for byte in range(256)]


def write_gguf(
    path: Path,
    *,
    tensors: dict[str, Any] | None = None,
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    architecture: str = "llama",
    change: dict[str, Any] | None = None,
) -> Path:
    """A small model with a byte-level tokenizer; `change` sets or (None) leaves out metadata."""
    writer = gguf.GGUFWriter(path, architecture)
    fields: dict[str, Any] = {
        f"{architecture}.block_count": LAYERS,
        f"{architecture}.context_length": 128,
        f"{architecture}.embedding_length": HIDDEN,
        f"{architecture}.feed_forward_length": INNER,
        f"{architecture}.attention.head_count": HEADS,
        f"{architecture}.attention.head_count_kv": KEYS,
        f"{architecture}.attention.key_length": WIDTH,
        f"{architecture}.attention.layer_norm_rms_epsilon": EPSILON,
        f"{architecture}.rope.freq_base": 500000.0,
        f"{architecture}.rope.dimension_count": WIDTH,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": [*byte_tokens(), "he", "ll", "hell", "<|a|>", "<|end|>", "<|t|>"],
        "tokenizer.ggml.token_type": [1] * 259 + [3] * 3,
        "tokenizer.ggml.merges": ["h e", "l l", "he ll"],
        "tokenizer.ggml.bos_token_id": 259,
        "tokenizer.ggml.eos_token_id": 260,
        "tokenizer.ggml.eot_token_id": 261,
        "tokenizer.chat_template": "{% for m in messages %}{{ m.content }}<|end|>{% endfor %}",
    }
    for key, value in (fields | (change or {})).items():
        _add(writer, key, value)
    for name, array in (tensors or weights(architecture)).items():
        if any(f"{part}.weight" in name for part in QUANTISED) and isinstance(array, np.ndarray):
            writer.add_tensor(name, gguf.quants.quantize(array, kind), raw_dtype=kind)
        elif isinstance(array, np.ndarray):
            writer.add_tensor(name, array)
        else:  # bytes and the type that they are said to be
            data, raw = array
            writer.add_tensor(name, data, raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, list):
        writer.add_array(key, value)
