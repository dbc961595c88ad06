"""The OLMo 3 family: OLMo 2 with a window in three layers of four, which no scaling stretches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.families.gated import GatedFamily, decoder_of
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.olmo2 import Olmo2
from lmkernel.families.rope_kinds import read_rope_kinds, rope_of_kind, write_rope_kinds
from lmkernel.families.windows import FULL, SLIDING, layer_kinds, with_kinds, write_kinds

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Olmo3"]

_THETA, _EVERY = 500_000.0, 4


def _as_kinds(names: Collection[str], so_far: Mapping[str, Any]) -> dict[str, Any]:
    """The kinds of layers, which a GGUF file keeps as whether each has the window."""
    del names
    marks, theta = so_far.get("layer_types"), so_far["rope_theta"]
    whole = {"rope_type": "default", **(so_far["rope_scaling"] or {}), "rope_theta": theta}
    tables = {FULL: whole, SLIDING: {"rope_type": "default", "rope_theta": theta}}
    if isinstance(marks, list):
        marks = [SLIDING if mark else FULL for mark in marks]
    return {"layer_types": marks, "rope_parameters": tables, "rope_scaling": None}


@final
class Olmo3(GatedFamily):
    """``model_type`` ``"olmo3"``."""

    model_type, class_name = "olmo3", "Olmo3ForCausalLM"
    layer = Olmo2.layer
    keys = Olmo2.keys.but(
        rope_theta=_THETA, sliding_window=4096, layer_types=None, nullable=("sliding_window",)
    )
    traits, carried, fixed = Olmo2.traits, Olmo2.carried, Olmo2.fixed
    layout = GgufArchitecture(
        class_name=class_name,
        name="olmo2",
        fits=lambda said: "attention.sliding_window" in said,
        flags=("attention_bias",),
        fields={
            "attention.sliding_window": "sliding_window",
            "attention.sliding_window_pattern": "layer_types",
        },
        complete=_as_kinds,
    )

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        whole, local = read_rope_kinds(config, config.number("rope_theta"), _THETA)
        model = super().read(whole)
        kinds = layer_kinds(config, lambda layer: SLIDING if (layer + 1) % _EVERY else FULL)
        own = {"window": config.whole("sliding_window", 4096), "rotary": 1}
        return with_kinds(rope_of_kind(model, local), kinds, {SLIDING: own})

    def write(self, config: ModelConfig) -> dict[str, Any]:
        theta = config.embedding.rotaries[0].theta
        return {**super().write(config), **write_rope_kinds(config), "rope_theta": theta}

    def own_keys(self, config: ModelConfig) -> dict[str, Any]:
        return write_kinds(decoder_of(config), 4096)
