"""Models whose ``tokenizer.json`` transformers reads as it is, whatever class their files name.

It has a table of the classes by ``model_type``; where that has none with steps of its own, the
``tokenizer_class`` of ``tokenizer_config.json`` is not followed.
"""

from __future__ import annotations

__all__ = ["keeps_steps"]

# transformers 5.24: TOKENIZER_MAPPING_NAMES and MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS
_AS_WRITTEN = (
    "EvollaModel arctic aria beam bigbird_pegasus camembertv2-base canary chatlm cohere_asr "
    "ernie4_5 ernie4_5_moe flex_olmo fuyu glm glm4 glm4_moe glm4_moe_lite glm4v glm4v_moe "
    "glm_image glmasr got_ocr2 gpt_bigcode gradium_phonon_tts granite granitemoe "
    "granitemoehybrid granitemoeshared h2ovl_chat hyperclovax hyperclovax_vlm internlm2 "
    "internlm3 iquestcoder jamba kimi_k25 kimi_linear kosmos-2 llava llava_next mimo_v2_flash "
    "minicpm3 minicpm_ocr minicpmv minicpmv4_6 minicpmv4_7 minimax_m2 ministral ministral3 "
    "mistral mistral3 mistral_large4 mixtral modernbert modernbert-decoder molmo molmo2 "
    "nemo_speechlm nemotron nvfp4 nystromformer olmo2 olmo3 olmo_hybrid omniasr opencua openvla "
    "paddleocr_vl pegasus_x persimmon phi3 phi3_v phimoe pix2struct pixtral pocket_tts smolvlm "
    "stablelm step3_vl umt5 vipllava voxtral voxtral_realtime xlm-roberta-xl"
)


def keeps_steps(model_type: object) -> bool:
    """Whether the steps of a model's ``tokenizer.json`` stay as they are, by its ``model_type``."""
    return isinstance(model_type, str) and model_type in _AS_WRITTEN.split()
