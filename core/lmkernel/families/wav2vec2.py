"""wav2vec 2.0 (arXiv:2006.11477) and HuBERT (arXiv:2106.07447): BERT's layers over samples."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.families.config_keys import key_set
from lmkernel.families.waves import WAVE_KEYS, WaveFamily

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig

__all__ = ["Hubert", "Wav2Vec2"]


@final
class Wav2Vec2(WaveFamily):
    """``model_type`` ``"wav2vec2"``; of a model before its training on texts, without its heads."""

    model_type = "wav2vec2"
    prefix = "wav2vec2."
    told = "Wav2Vec2ForCTC"
    bare = ("Wav2Vec2Model", "Wav2Vec2ForPreTraining")
    unused = (*WaveFamily.unused, "quantizer.*", "project_q.*", "project_hid.*")
    keys = replace(
        WAVE_KEYS,
        nullable=WAVE_KEYS.nullable | {"vocab_size"},
        refused={"add_adapter": False, "adapter_attn_dim": None},
        inert=WAVE_KEYS.inert
        | key_set(
            "adapter_kernel_size adapter_stride num_adapter_layers output_hidden_size "
            "codevector_dim proj_codevector_dim num_codevector_groups num_codevectors_per_group "
            "num_negatives contrastive_logits_temperature diversity_loss_weight "
            "feat_quantizer_dropout tdnn_dim tdnn_kernel tdnn_dilation xvector_output_dim"
        ),
    )


@final
class Hubert(WaveFamily):
    """``model_type`` ``"hubert"``."""

    model_type = "hubert"
    prefix = "hubert."
    told = "HubertForCTC"
    bare = ("HubertModel",)
    keys = replace(
        WAVE_KEYS.but(feat_proj_layer_norm=True),
        refused={"conv_pos_batch_norm": False, "adapter_attn_dim": None},
    )

    def write(self, config: ModelConfig) -> dict[str, Any]:
        waves = config.embedding.waves
        normal = waves is not None and waves.projected_norm is not None
        return {**super().write(config), "feat_proj_layer_norm": normal}
