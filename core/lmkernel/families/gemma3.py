"""Gemma 3 (arXiv:2503.19786): Gemma 2 with norms of queries and keys, and two RoPEs.

Five layers of six have a window, and a RoPE of their own, which no scaling stretches.
"""

from __future__ import annotations

import functools
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import CheckpointError
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
from lmkernel.families.hf_config import HfConfig
from lmkernel.families.rope import read_rope, write_rope
from lmkernel.families.windows import FULL, SLIDING, layer_kinds, with_kinds

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig

__all__ = ["Gemma3"]

_LAYER = MappingProxyType(
    {**LAYER_2, "self_attn.q_norm": "attention.q_norm", "self_attn.k_norm": "attention.k_norm"}
)


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
        attn_logit_softcapping=None,
        inert=("_sliding_window_pattern",),
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
        config = self.keys.complete(config)
        of_full, of_sliding = _tables(config)
        model = read_bounded(HfConfig({**config.values, **of_full}, config.where))
        stack = decoder_of(model)
        local = read_rope(
            HfConfig(of_sliding, config.where), stack.attention.head_dim, model.context
        )
        every = config.whole("sliding_window_pattern", 6)
        kinds = layer_kinds(config, lambda layer: SLIDING if (layer + 1) % every else FULL)
        model = with_changes(
            model, embedding={"more_rotary": (local,)}, attention={"qk_norm": stack.norm}
        )
        window = config.whole("sliding_window", 4096)
        return with_kinds(model, kinds, {SLIDING: {"window": window, "rotary": 1}})

    def write(self, config: ModelConfig) -> dict[str, Any]:
        rotaries = config.embedding.rotaries
        if len(rotaries) != 2:  # noqa: PLR2004 - of whole layers, and of windows
            raise CheckpointError("expected two rotary embeddings")
        tables = {}
        for kind, rotary in zip((FULL, SLIDING), rotaries, strict=True):
            table = write_rope(rotary, config.context)["rope_scaling"] or {"rope_type": "default"}
            tables[kind] = {**table, "rope_theta": rotary.theta}
        nothing = dict.fromkeys(("rope_theta", "rope_scaling", "rope_local_base_freq"))
        written = write_bounded(config, "gemma3_text", "Gemma3ForCausalLM")
        return {**written, **nothing, "rope_parameters": tables}


def _tables(config: HfConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rotary keys of whole layers, and those of windows, as transformers 5 has them or 4."""
    both = config.part("rope_parameters")
    theta = config.number("rope_theta", 1_000_000.0)
    local = config.number("rope_local_base_freq", 10_000.0)
    scaling = config.part("rope_scaling")
    tables = []
    for kind, base, more in ((FULL, theta, scaling), (SLIDING, local, None)):
        part = both.part(kind) if both is not None else None
        table = {"rope_type": "default", "rope_theta": base, **(part.values if part else {})}
        if more is not None:
            table |= more.values
        tables.append({"rope_parameters": table, "rope_scaling": None, "rope_theta": base})
    return tables[0], tables[1]
