"""The Hugging Face configuration that a GGUF file's metadata describe.

What the metadata cannot express in a configuration is refused, never left out in silence: other
architectures, mixtures of experts, other kinds of scaled rotary frequencies, rotation of a part of
a head. Defaults are llama.cpp's.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import CheckpointError
from lmkernel.families.config_keys import ConfigKeys, key_set, warn_of_unknown
from lmkernel.families.hf_config import HfConfig
from lmkernel.families.rope import longrope_table
from lmkernel.gguf.tensors import ROPE_FACTORS, stored_values
from lmkernel.gguf.vocabulary import end_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.families.gguf_architecture import GgufArchitecture
    from lmkernel.gguf.file import GgufFile

__all__ = ["gguf_config", "gguf_generation_config"]

_IDS = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}
_KEYS = ConfigKeys(
    read={
        "block_count": None,
        "context_length": None,
        "embedding_length": None,
        "feed_forward_length": None,
        "attention.head_count": None,
        "attention.head_count_kv": None,
        "attention.key_length": None,
        "attention.value_length": None,
        "attention.layer_norm_rms_epsilon": None,
        "rope.dimension_count": None,
        "rope.freq_base": 10000.0,
        "rope.scaling.type": "linear",
        "rope.scaling.factor": None,
        "rope.scale_linear": None,
    },
    refused={
        "attention.causal": True,
        "attention.clamp_kqv": 0.0,
        "attention.max_alibi_bias": 0.0,
        "attention.scale": 0.0,
        "attn_logit_softcapping": 0.0,
        "embedding_scale": 0.0,
        "expert_count": 0,
        "expert_used_count": 0,
        "final_logit_softcapping": 0.0,
        "logit_scale": 0.0,
        "nextn_predict_layers": 0,
        "residual_scale": 0.0,
        "rope.dimension_sections": None,
        "rope.scaling.attn_factor": 1.0,
        "use_parallel_residual": False,
    },
    # the rows of the embedding say how large the vocabulary is; the rest describes how it was made
    inert=key_set(
        "vocab_size tensor_data_layout pooling_type rope.scaling.finetuned "
        "rope.scaling.original_context_length"
    ),
)
"""What llama.cpp names after the architecture, for decoders with a gated MLP."""
_SCALINGS: Mapping[str, bool] = MappingProxyType({"none": False, "linear": True})


def gguf_config(file: GgufFile, own: GgufArchitecture) -> dict[str, Any]:
    """The content of ``config.json`` for a GGUF file.

    Args:
        file: the file.
        own: the layout of its family in GGUF files.

    Raises:
        CheckpointError: a field that is missing or malformed, or a feature that has no
            counterpart.
    """
    fields = _Fields(file)
    hidden, heads = fields.whole("embedding_length"), fields.whole("attention.head_count")
    width = fields.whole("attention.key_length", max(1, hidden // heads))
    for field in ("attention.value_length", "rope.dimension_count"):
        if fields.whole(field, width) != width:
            raise fields.error(field, f"the width of a head, {width}")
    context = fields.whole("context_length")
    return {
        "architectures": [own.class_name],
        "attention_dropout": 0.0,
        **dict.fromkeys(own.flags, False),
        **_ids(file),
        "head_dim": width,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": fields.whole("feed_forward_length"),
        "max_position_embeddings": context,
        "model_type": file.architecture,
        "num_attention_heads": heads,
        "num_hidden_layers": _layers(fields, file),
        "num_key_value_heads": fields.whole("attention.head_count_kv", heads),
        "rms_norm_eps": fields.positive("attention.layer_norm_rms_epsilon"),
        "rope_scaling": _rope_scaling(fields, file, width // 2, context),
        "rope_theta": fields.positive("rope.freq_base"),
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": _vocabulary(file),
    }


def gguf_generation_config(file: GgufFile) -> dict[str, Any]:
    """The content of ``generation_config.json``: the ids that begin, end and pad a text."""
    ids: dict[str, Any] = _ids(file)
    ends = list(end_ids(file))
    if ends:
        ids["eos_token_id"] = ends if len(ends) > 1 else ends[0]
    return {"_from_model_config": True, **ids}


@final
class _Fields:
    """The metadata of the file's own architecture, which errors name whole.

    Raises:
        CheckpointError: one asks for what is not supported.
    """

    def __init__(self, file: GgufFile) -> None:
        self._prefix = f"{file.architecture}."
        own = {k: v for k, v in file.metadata.items() if k.startswith(self._prefix)}
        keys = _KEYS.after(self._prefix)
        given = HfConfig(own, str(file.path))
        warn_of_unknown(given.where, keys.unknown(given))
        self._config = keys.complete(given)

    def whole(self, field: str, default: int | None = None) -> int:
        """A positive integer."""
        return self._config.whole(self._prefix + field, default)

    def positive(self, field: str) -> float:
        """A positive number."""
        value = self._config.number(self._prefix + field)
        if value <= 0:
            raise self.error(field, "a positive number")
        return value

    def scaling(self) -> float:
        """What positions are divided by; 0 stands for nothing, as in llama.cpp."""
        scaled: bool = self._config.choice(self._prefix + "rope.scaling.type", _SCALINGS, "linear")
        names = ("rope.scaling.factor", "rope.scale_linear")  # today's name, and the one before
        there = [name for name in names if self._config.has(self._prefix + name)]
        if not scaled or not there or self._config.number(self._prefix + there[0]) == 0:
            return 1.0
        return self.positive(there[0])

    def error(self, field: str, expected: str) -> CheckpointError:
        """What to raise for a field that cannot be used."""
        key = self._prefix + field
        return self._config.error(key, expected, self._config.values.get(key))


def _ids(file: GgufFile) -> dict[str, Any]:
    found = {name: file.metadata.get(f"tokenizer.ggml.{k}_token_id") for name, k in _IDS.items()}
    return {name: value for name, value in found.items() if value is not None}


def _layers(fields: _Fields, file: GgufFile) -> int:
    """Their number, which no tensors contradict."""
    claimed = fields.whole("block_count")
    blocks = [name.split(".")[1] for name in file.tensors if name.startswith("blk.")]
    there = len(set(blocks))
    if claimed != there:
        raise fields.error("block_count", f"{there}, as there are tensors of so many blocks")
    return claimed


def _rope_scaling(
    fields: _Fields, file: GgufFile, pairs: int, context: int
) -> dict[str, Any] | None:
    """One factor for all frequencies, or a tensor with one for each, or both."""
    factor = fields.scaling()
    if ROPE_FACTORS not in file.tensors:
        return {"rope_type": "linear", "factor": factor} if factor != 1 else None
    values = stored_values(file, ROPE_FACTORS)
    where = f"{file.path}: tensor {ROPE_FACTORS!r}"
    if values.shape != (pairs,):
        raise CheckpointError(f"{where}: expected the shape {(pairs,)}, got {values.shape}")
    divisors = [float(value) * factor for value in values]
    if not all(0 < value < math.inf for value in divisors):
        raise CheckpointError(f"{where}: expected positive numbers, got {values.min()}")
    return longrope_table(divisors, divisors, context)


def _vocabulary(file: GgufFile) -> int:
    """The embedding's number of rows, which no metadata can contradict."""
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None or not embedding.shape:
        raise CheckpointError(f"{file.path}: tensor 'token_embd.weight' is missing")
    return embedding.shape[0]
