"""The Gemma families: norms that store w - 1, scaled embeddings, and heads of their own size.

Gemma 2 (arXiv:2408.00118) adds norms of outputs, bounds of scores and logits, and windows in every
other layer.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.families.family import ACTIVATIONS, name_of_activation
from lmkernel.families.gated import (
    GATED_KEYS,
    LAYER,
    GatedFamily,
    Traits,
    decoder_of,
    read_gated,
    with_changes,
    write_gated,
)
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.windows import FULL, SLIDING, kinds_of, layer_kinds, with_kinds

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = [
    "BOUNDS",
    "GELU",
    "KEYS_2",
    "LAYER_2",
    "Gemma",
    "Gemma2",
    "attention_scale",
    "read_bounded",
    "write_bounded",
]

_KEYS = GATED_KEYS.but(
    vocab_size=256000,
    head_dim=256,
    max_position_embeddings=8192,
    tie_word_embeddings=True,
    attention_bias=False,
    pad_token_id=0,
    nullable=("pad_token_id",),
)
KEYS_2 = _KEYS.but(
    hidden_size=2304,
    intermediate_size=9216,
    num_hidden_layers=26,
    num_attention_heads=8,
    num_key_value_heads=4,
    hidden_activation="gelu_pytorch_tanh",
    query_pre_attn_scalar=256,
    sliding_window=4096,
    layer_types=None,
    final_logit_softcapping=30.0,
    attn_logit_softcapping=50.0,
    nullable=("sliding_window", "final_logit_softcapping", "attn_logit_softcapping"),
    inert=("hidden_act", "cache_implementation"),
    refused={"use_bidirectional_attention": None},
)
LAYER_2 = MappingProxyType(
    {
        **LAYER,
        "post_attention_layernorm": "attention_output_norm",
        "pre_feedforward_layernorm": "mlp_norm",
        "post_feedforward_layernorm": "mlp_output_norm",
    }
)


_ACTIVATIONS_1 = MappingProxyType({**ACTIVATIONS, "gelu": ACTIVATIONS["gelu_pytorch_tanh"]})
"""The first files of Gemma say ``gelu`` and mean its approximation, as transformers reads it."""


def _read(
    config: HfConfig, activation: str, activations: Mapping[str, str] = ACTIVATIONS
) -> ModelConfig:
    """What all three have in common."""
    bias = config.flag("attention_bias", default=False)
    model = read_gated(config, Traits(bias=bias, out_bias=bias, head_dim=256, context=8192))
    norm = replace(decoder_of(model).norm, offset=1.0)
    return with_changes(
        model,
        embedding={"scale": float(model.embedding.width) ** 0.5},
        stack={"norm": norm},
        mlp={"activation": config.choice(activation, activations, "gelu_pytorch_tanh")},
    )


def _write(config: ModelConfig, model_type: str, architecture: str) -> dict[str, Any]:
    written = write_gated(config, model_type, architecture)
    return {**written, "attention_bias": decoder_of(config).attention.bias}


@final
class Gemma(GatedFamily):
    """``model_type`` ``"gemma"`` (arXiv:2403.08295)."""

    keys = _KEYS.but(
        hidden_size=3072,
        intermediate_size=24576,
        num_hidden_layers=28,
        num_attention_heads=16,
        num_key_value_heads=16,
        hidden_act="gelu_pytorch_tanh",
        # its first files say hidden_activation, which transformers does not read any more
        inert=("hidden_activation",),
        refused={"use_bidirectional_attention": None},
    )

    layout = GgufArchitecture(
        class_name="GemmaForCausalLM", norm_offset=1.0, values={"hidden_act": "gelu_pytorch_tanh"}
    )

    def read(self, config: HfConfig) -> ModelConfig:
        return _read(self.keys.complete(config), "hidden_act", _ACTIVATIONS_1)

    def write(self, config: ModelConfig) -> dict[str, Any]:
        return _write(config, "gemma", "GemmaForCausalLM")


def read_bounded(config: HfConfig) -> ModelConfig:
    """What Gemma 2 and 3 have in common, of a configuration with all its keys."""

    def bound(key: str) -> float | None:
        return config.positive_number(key) if config.has(key) else None

    return with_changes(
        _read(config, "hidden_activation"),
        stack={"output_norm": True},
        attention={
            "scale": config.positive_number("query_pre_attn_scalar") ** -0.5,
            "softcap": bound("attn_logit_softcapping"),
        },
        head={"softcap": bound("final_logit_softcapping")},
    )


def write_bounded(config: ModelConfig, model_type: str, architecture: str) -> dict[str, Any]:
    """The Hugging Face configuration of what `read_bounded` reads, and of windows."""
    stack, head = decoder_of(config), config.head
    windows = [stack.layer(i).attention.window or 0 for i in range(stack.layers)]
    return {
        **_write(config, model_type, architecture),
        "hidden_activation": name_of_activation(stack.mlp.activation),
        "query_pre_attn_scalar": round(stack.attention.scale**-2),
        "attn_logit_softcapping": stack.attention.softcap,
        "final_logit_softcapping": None if head is None else head.softcap,
        "sliding_window": max(windows) or 4096,
        "layer_types": kinds_of(stack),
    }


BOUNDS = {
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
    "attention.sliding_window": "sliding_window",
}
"""What GGUF files say of these families alone."""
GELU = {"hidden_act": None, "hidden_activation": "gelu_pytorch_tanh"}


def attention_scale(
    names: Collection[str], config: Mapping[str, Any], *, largest: int
) -> dict[str, Any]:
    """What no metadata say: the scale of scores, another one in the model of so many layers."""
    del names
    by_width = config["hidden_size"] // config["num_attention_heads"]
    whole = config["num_hidden_layers"] == largest
    return {"query_pre_attn_scalar": by_width if whole else config["head_dim"]}


@final
class Gemma2(GatedFamily):
    """``model_type`` ``"gemma2"``."""

    keys = KEYS_2
    layer = LAYER_2

    layout = GgufArchitecture(
        class_name="Gemma2ForCausalLM",
        norm_offset=1.0,
        fields=BOUNDS,
        values=GELU,
        complete=functools.partial(attention_scale, largest=46),
    )

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        kinds = layer_kinds(config, lambda layer: FULL if layer % 2 else SLIDING)
        window = config.whole("sliding_window", 4096)
        return with_kinds(read_bounded(config), kinds, {SLIDING: {"window": window}})

    def write(self, config: ModelConfig) -> dict[str, Any]:
        return write_bounded(config, "gemma2", "Gemma2ForCausalLM")
