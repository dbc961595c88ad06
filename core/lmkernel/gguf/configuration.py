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
from lmkernel.gguf.tensors import LONG_FACTORS, ROPE_FACTORS, SHORT_FACTORS, stored_values
from lmkernel.gguf.vocabulary import end_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.families.family import Family
    from lmkernel.families.gguf_architecture import GgufArchitecture
    from lmkernel.gguf.file import GgufFile

__all__ = ["gguf_config", "gguf_generation_config", "own_metadata"]

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
        "attention.layer_norm_epsilon": None,
        "rope.dimension_count": None,
        "rope.freq_base": 10000.0,
        "rope.scaling.type": "linear",
        "rope.scaling.factor": None,
        "rope.scaling.attn_factor": 1.0,
        "rope.scaling.original_context_length": None,
        "rope.scaling.yarn_attn_factor": None,
        "rope.scaling.yarn_beta_fast": None,
        "rope.scaling.yarn_beta_slow": None,
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
        "rope.scaling.yarn_ext_factor": 1.0,
        "use_parallel_residual": False,
    },
    # the rows of the embedding say how large the vocabulary is; the rest describes how it was made
    inert=key_set("vocab_size tensor_data_layout pooling_type rope.scaling.finetuned"),
)
"""What llama.cpp names after the architecture, for decoders with a gated MLP."""
_YARN: Mapping[str, str] = MappingProxyType(
    {
        "attention_factor": "rope.scaling.yarn_attn_factor",
        "beta_fast": "rope.scaling.yarn_beta_fast",
        "beta_slow": "rope.scaling.yarn_beta_slow",
    }
)
_SCALINGS: Mapping[str, str] = MappingProxyType(
    {kind: kind for kind in ("none", "linear", "yarn", "longrope")}
)


def own_metadata(file: GgufFile) -> dict[str, Any]:
    """The metadata of its architecture, by what follows its name."""
    prefix = f"{file.architecture}."
    there = file.metadata.items()
    return {key.removeprefix(prefix): v for key, v in there if key.startswith(prefix)}


def gguf_config(
    file: GgufFile, own: GgufArchitecture, model_type: str, family: Family
) -> dict[str, Any]:
    """The content of ``config.json`` for a GGUF file.

    Args:
        file: the file.
        own: the layout of its family in GGUF files.
        model_type: the family's name.
        family: the family.

    Raises:
        CheckpointError: a field that is missing or malformed, or a feature that has no
            counterpart.
    """
    fields = _Fields(file, own)
    hidden, heads = fields.whole("embedding_length"), fields.whole("attention.head_count")
    width = fields.whole("attention.key_length", max(1, hidden // heads))
    turned = fields.whole("rope.dimension_count", width)
    checked = () if own.latent else ("attention.value_length",)
    for field in (*checked, *(() if own.partial else ("rope.dimension_count",))):
        if fields.whole(field, width) != width:
            raise fields.error(field, f"the width of a head, {width}")
    context = fields.whole("context_length")
    found = {
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
        "model_type": model_type,
        "num_attention_heads": heads,
        "num_hidden_layers": _layers(fields, file),
        "num_key_value_heads": fields.whole("attention.head_count_kv", heads),
        **fields.norm(),
        "rope_scaling": _rope_scaling(fields, file, turned // 2, context),
        "rope_theta": fields.positive("rope.freq_base"),
        "tie_word_embeddings": "output.weight" not in file.tensors,
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": _vocabulary(file),
        **({"partial_rotary_factor": turned / width} if own.partial else {}),
        **fields.further(),
        **own.values,
    }
    found |= own.complete(file.tensors.keys(), found) if own.complete else {}
    left_out = {key for key, value in own.values.items() if value is None}
    if family.keys is not None:
        # what only other families have
        left_out |= {*family.keys.unknown(HfConfig(found))}
    return {key: value for key, value in found.items() if key not in left_out}


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

    def __init__(self, file: GgufFile, own: GgufArchitecture) -> None:
        self._prefix, self._own = f"{file.architecture}.", own
        there = {k: v for k, v in file.metadata.items() if k.startswith(self._prefix)}
        further: dict[str, Any] = dict.fromkeys(own.fields)
        keys = _KEYS.but(**further).after(self._prefix)
        given = HfConfig(there, str(file.path))
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

    def norm(self) -> dict[str, float]:
        """What is added to the variance in norms."""
        layer = "attention.layer_norm_epsilon"
        if self._config.has(self._prefix + layer):
            return {key: self.positive(layer) for key in ("layer_norm_eps", "layer_norm_epsilon")}
        return {"rms_norm_eps": self.positive("attention.layer_norm_rms_epsilon")}

    def further(self) -> dict[str, Any]:
        """What the family alone has, as far as it is there."""
        given = {
            hf: self._config.values.get(self._prefix + n) for n, hf in self._own.fields.items()
        }
        return {key: value for key, value in given.items() if value is not None}

    def kind(self) -> str:
        """How rotary frequencies are scaled."""
        kind: str = self._config.choice(self._prefix + "rope.scaling.type", _SCALINGS, "linear")
        return kind

    def scaling(self) -> float:
        """What positions are divided by; 0 stands for nothing, as in llama.cpp."""
        scaled = self.kind() != "none"
        names = ("rope.scaling.factor", "rope.scale_linear")  # today's name, and the one before
        there = [name for name in names if self._config.has(self._prefix + name)]
        if not scaled or not there or self._config.number(self._prefix + there[0]) == 0:
            return 1.0
        return self.positive(there[0])

    def yarn(self) -> dict[str, float]:
        """What YaRN's ramp and attention factor are, as far as the file says."""
        there = {hf: name for hf, name in _YARN.items() if self._config.has(self._prefix + name)}
        return {hf: self.positive(name) for hf, name in there.items()}

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
    factor, original = (
        fields.scaling(),
        fields.whole("rope.scaling.original_context_length", context),
    )
    attention = fields.positive("rope.scaling.attn_factor")
    if SHORT_FACTORS in file.tensors or LONG_FACTORS in file.tensors:
        short, long = (_factors(file, name, pairs) for name in (SHORT_FACTORS, LONG_FACTORS))
        return {**longrope_table(short, long, original), "attention_factor": attention}
    if attention != 1:
        raise fields.error("rope.scaling.attn_factor", "1.0 without factors of each frequency")
    if fields.kind() == "yarn" and factor != 1:
        if ROPE_FACTORS in file.tensors:
            raise fields.error("rope.scaling.type", f"none or linear beside {ROPE_FACTORS}")
        own = {"original_max_position_embeddings": original}
        return {"rope_type": "yarn", "factor": factor, **own, **fields.yarn()}
    if ROPE_FACTORS not in file.tensors:
        return {"rope_type": "linear", "factor": factor} if factor != 1 else None
    divisors = [value * factor for value in _factors(file, ROPE_FACTORS, pairs)]
    return longrope_table(divisors, divisors, context)


def _factors(file: GgufFile, name: str, pairs: int) -> list[float]:
    """What each frequency is divided by."""
    where = f"{file.path}: tensor {name!r}"
    if name not in file.tensors:
        raise CheckpointError(f"{where} is missing")
    values = stored_values(file, name)
    if values.shape != (pairs,):
        raise CheckpointError(f"{where}: expected the shape {(pairs,)}, got {values.shape}")
    if not all(0 < value < math.inf for value in values):
        raise CheckpointError(f"{where}: expected positive numbers, got {values.min()}")
    return [float(value) for value in values]


def _vocabulary(file: GgufFile) -> int:
    """The embedding's number of rows, which no metadata can contradict."""
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None or not embedding.shape:
        raise CheckpointError(f"{file.path}: tensor 'token_embd.weight' is missing")
    return embedding.shape[0]
