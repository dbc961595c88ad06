"""The Hugging Face configuration that a GGUF file's metadata describe.

What the metadata cannot express in a configuration is refused, never left out in silence: other
architectures, mixtures of experts, scaled rotary frequencies, rotation of a part of a head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from lmkernel.families.gguf_architecture import GgufArchitecture
    from lmkernel.gguf.file import GgufFile

__all__ = ["gguf_config", "gguf_generation_config"]

_IDS = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}


def gguf_config(file: GgufFile, own: GgufArchitecture) -> dict[str, Any]:
    """The content of ``config.json`` for a GGUF file.

    Args:
        file: the file.
        own: the layout of its family in GGUF files.

    Raises:
        CheckpointError: a field that is missing or malformed, or a feature that has no
            counterpart.
    """
    _refuse_unsupported_features(file)
    hidden, heads = _natural(file, "embedding_length"), _natural(file, "attention.head_count")
    width = _natural(file, "attention.key_length", hidden // heads)
    if _natural(file, "rope.dimension_count", width) != width:
        raise _error(file, "rope.dimension_count", f"the width of a head, {width}")
    return {
        "architectures": [own.class_name],
        "attention_dropout": 0.0,
        **dict.fromkeys(own.flags, False),
        **_ids(file),
        "head_dim": width,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": _natural(file, "feed_forward_length"),
        "max_position_embeddings": _natural(file, "context_length"),
        "model_type": file.architecture,
        "num_attention_heads": heads,
        "num_hidden_layers": _natural(file, "block_count"),
        "num_key_value_heads": _natural(file, "attention.head_count_kv", heads),
        "rms_norm_eps": _positive(file, "attention.layer_norm_rms_epsilon"),
        "rope_scaling": _rope_scaling(file),
        "rope_theta": _positive(file, "rope.freq_base", 10000.0),
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": _vocabulary(file),
    }


def gguf_generation_config(file: GgufFile) -> dict[str, Any]:
    """The content of ``generation_config.json``: the ids that begin, end and pad a text."""
    ids: dict[str, Any] = _ids(file)
    turn = file.metadata.get("tokenizer.ggml.eot_token_id")
    if turn is not None and turn != ids.setdefault("eos_token_id", turn):
        ids["eos_token_id"] = [ids["eos_token_id"], turn]
    return {"_from_model_config": True, **ids}


def _refuse_unsupported_features(file: GgufFile) -> None:
    if file.metadata.get(_key(file, "expert_count"), 0):
        raise _error(file, "expert_count", "no mixture of experts")
    if "rope_freqs.weight" in file.tensors:
        raise CheckpointError(
            f"{file.path}: tensor 'rope_freqs.weight' scales the rotary frequencies one by one, "
            "which a GGUF file does not describe as config.json would"
        )


def _ids(file: GgufFile) -> dict[str, Any]:
    found = {name: file.metadata.get(f"tokenizer.ggml.{k}_token_id") for name, k in _IDS.items()}
    return {name: value for name, value in found.items() if value is not None}


def _natural(file: GgufFile, field: str, default: int | None = None) -> int:
    value = file.metadata.get(_key(file, field), default)
    if type(value) is not int or value <= 0:
        raise _error(file, field, "a positive integer")
    return value


def _positive(file: GgufFile, field: str, default: float | None = None) -> float:
    value = file.metadata.get(_key(file, field), default)
    if not (isinstance(value, float) and 0.0 < value < float("inf")):
        raise _error(file, field, "a positive number")
    return value


def _rope_scaling(file: GgufFile) -> dict[str, Any] | None:
    kind = file.metadata.get(_key(file, "rope.scaling.type"), "none")
    if kind == "none":
        return None
    if kind != "linear":
        raise _error(file, "rope.scaling.type", "'none' or 'linear'")
    return {"rope_type": "linear", "factor": _positive(file, "rope.scaling.factor")}


def _vocabulary(file: GgufFile) -> int:
    """The embedding's number of rows, which no metadata can contradict."""
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None or not embedding.shape:
        raise CheckpointError(f"{file.path}: tensor 'token_embd.weight' is missing")
    return embedding.shape[0]


def _key(file: GgufFile, field: str) -> str:
    """A field of the file's own architecture."""
    return f"{file.architecture}.{field}"


def _error(file: GgufFile, field: str, expected: str) -> CheckpointError:
    key = _key(file, field)
    value = file.metadata.get(key)
    return CheckpointError(f"{file.path}: {key}: expected {expected}, got {value!r}")
