"""The DINOv2 family (arXiv:2304.07193): ViT with a learned factor for each sublayer's channels.

Pictures of any size are taken, with positions interpolated for them. The token that stands for
masked patches in training is neither read nor written.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, final

from lmkernel.config import MlpConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.config_keys import key_set
from lmkernel.families.family import ACTIVATIONS, name_of_activation
from lmkernel.families.vision import VISION_KEYS, VisionFamily

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.config import TransformerConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Dinov2"]

_MOST = 64  # times as wide as the layer


@final
class Dinov2(VisionFamily):
    """``model_type`` ``"dinov2"``."""

    model_type = "dinov2"
    processor = "Bit"
    prefix = "dinov2."
    bare = "Dinov2Model"
    classes = "Dinov2ForImageClassification"
    names = MappingProxyType(
        {
            "norm1": "attention_norm",
            "attention.attention.query": "attention.q",
            "attention.attention.key": "attention.k",
            "attention.attention.value": "attention.v",
            "attention.output.dense": "attention.o",
            "norm2": "mlp_norm",
            "mlp.fc1": "mlp.up",
            "mlp.fc2": "mlp.down",
        }
    )
    gated: ClassVar[Mapping[str, str | tuple[str, ...]]] = MappingProxyType(
        {"mlp.weights_in": ("mlp.gate", "mlp.up"), "mlp.weights_out": "mlp.down"}
    )
    scales = MappingProxyType(
        {"layer_scale1.lambda1": "attention_scale", "layer_scale2.lambda1": "mlp_scale"}
    )
    pooling = "first_and_mean"
    resized = True
    keys = VISION_KEYS.but(
        # training, and which hidden states other models read
        inert=tuple(
            key_set(
                "drop_path_rate use_mask_token apply_layernorm reshape_hidden_states stage_names "
                "out_features out_indices _out_features _out_indices"
            )
        ),
        mlp_ratio=4,
        layer_norm_eps=1e-6,
        patch_size=14,
        layerscale_value=1.0,
        use_swiglu_ffn=False,
    )

    def stack(self, config: HfConfig) -> TransformerConfig:
        factor = config.number("layerscale_value")
        if factor == 0:
            raise config.error("layerscale_value", "a number other than 0", factor)
        return replace(super().stack(config), layer_scale=factor, dropout=0.0)

    def mlp(self, config: HfConfig) -> MlpConfig:
        gated = config.flag("use_swiglu_ffn", default=False)
        ratio = config.whole("mlp_ratio")
        return MlpConfig(
            hidden=_hidden(config.whole("hidden_size"), ratio, gated=gated),
            activation="silu" if gated else config.choice("hidden_act", ACTIVATIONS, "gelu"),
            gated=gated,
            bias=True,
        )

    def layer_names(self, stack: TransformerConfig) -> Mapping[str, str | tuple[str, ...]]:
        if not stack.mlp.gated:
            return self.names
        others = {theirs: ours for theirs, ours in self.names.items() if "fc" not in theirs}
        return {**others, **self.gated}

    def write_mlp(self, stack: TransformerConfig) -> dict[str, Any]:
        mlp, width = stack.mlp, stack.width
        ratios = range(1, _MOST)
        fits = (r for r in ratios if _hidden(width, r, gated=mlp.gated) == mlp.hidden)
        ratio = next(fits, None)
        if ratio is None or (mlp.gated and mlp.activation != "silu"):
            raise CheckpointError(
                f"expected networks whose inner size follows from a whole mlp_ratio and width "
                f"{width}, got {mlp.hidden}"
            )
        act = {} if mlp.gated else {"hidden_act": name_of_activation(mlp.activation)}
        factor = stack.layer_scale
        own = {"mlp_ratio": ratio, "use_swiglu_ffn": mlp.gated, "layerscale_value": factor}
        return {**own, **act, "use_mask_token": False}


def _hidden(width: int, ratio: int, *, gated: bool) -> int:
    """The inner size of a network; a gated one has two thirds, in steps of 8."""
    return (width * ratio * 2 // 3 + 7) // 8 * 8 if gated else width * ratio
