"""Gemma 3 (arXiv:2503.19786): Gemma 2 with norms of queries and keys, and two RoPEs.

Five layers of six have a window, and a RoPE of their own, which no scaling stretches.
"""

from __future__ import annotations

import functools
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.families.gated import GatedFamily, decoder_of, with_changes
from lmkernel.families.gemma import (
    BOUNDS,
    GELU,
    KEYS_2,
    LAYER_2,
    attention_scale,
    read_bounded,
    write_bounded,
)
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.rope_kinds import read_rope_kinds, rope_of_kind, write_rope_kinds
from lmkernel.families.windows import FULL, SLIDING, layer_kinds, with_kinds

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Gemma3"]

_LAYER = MappingProxyType(
    {**LAYER_2, "self_attn.q_norm": "attention.q_norm", "self_attn.k_norm": "attention.k_norm"}
)
_UNUSED = "attn_logit_softcapping"


@final
class Gemma3(GatedFamily):
    """``model_type`` ``"gemma3_text"``, the text model."""

    layer = _LAYER
    keys = KEYS_2.but(
        vocab_size=262208,
        max_position_embeddings=131072,
        rope_theta=None,
        rope_local_base_freq=None,
        sliding_window_pattern=None,
        final_logit_softcapping=None,
        # transformers keeps the bound of scores, and computes without it
        inert=("_sliding_window_pattern", _UNUSED),
        nullable=("sliding_window",),
        refused={"use_bidirectional_attention": False},
    )

    layout = GgufArchitecture(
        class_name="Gemma3ForCausalLM",
        name="gemma3",
        norm_offset=1.0,
        fields={**BOUNDS, "rope.freq_base_swa": "rope_local_base_freq"},
        values=GELU,
        complete=functools.partial(attention_scale, largest=62),
    )

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config).without(_UNUSED)
        theta = config.number("rope_theta", 1_000_000.0)
        whole, local = read_rope_kinds(
            config, theta, config.number("rope_local_base_freq", 10_000.0)
        )
        model = rope_of_kind(read_bounded(whole), local)
        every = config.whole("sliding_window_pattern", 6)
        kinds = layer_kinds(config, lambda layer: SLIDING if (layer + 1) % every else FULL)
        model = with_changes(model, attention={"qk_norm": decoder_of(model).norm})
        window = config.whole("sliding_window", 4096)
        return with_kinds(model, kinds, {SLIDING: {"window": window, "rotary": 1}})

    def write(self, config: ModelConfig) -> dict[str, Any]:
        written = write_bounded(config, "gemma3_text", "Gemma3ForCausalLM")
        return {**written, **write_rope_kinds(config), "rope_local_base_freq": None}
