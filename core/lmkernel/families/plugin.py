"""Registers the built-in model families; imports none of them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from lmkernel.plugins import FamilySpec, hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FAMILIES", "lmkernel_register_families"]

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "llama": "lmkernel.families.llama:Llama",
        "mistral": "lmkernel.families.mistral:Mistral",
        "ministral": "lmkernel.families.ministral:Ministral",
        "qwen2": "lmkernel.families.qwen2:Qwen2",
        "qwen3": "lmkernel.families.qwen3:Qwen3",
        "qwen3_5_text": "lmkernel.families.qwen3_5:Qwen35",
        "phi3": "lmkernel.families.phi3:Phi3",
        "gemma": "lmkernel.families.gemma:Gemma",
        "gemma2": "lmkernel.families.gemma:Gemma2",
        "gemma3_text": "lmkernel.families.gemma3:Gemma3",
        "olmo2": "lmkernel.families.olmo2:Olmo2",
        "olmo3": "lmkernel.families.olmo3:Olmo3",
        "smollm3": "lmkernel.families.smollm3:SmolLm3",
        "granite": "lmkernel.families.granite:Granite",
        "cohere2": "lmkernel.families.cohere2:Cohere2",
        "glm": "lmkernel.families.glm:Glm",
        "glm4": "lmkernel.families.glm:Glm4",
        "ernie4_5": "lmkernel.families.ernie4_5:Ernie45",
        "seed_oss": "lmkernel.families.seed_oss:SeedOss",
        "stablelm": "lmkernel.families.stablelm:StableLm",
        "mixtral": "lmkernel.families.mixtral:Mixtral",
        "qwen2_moe": "lmkernel.families.qwen_moe:Qwen2Moe",
        "qwen3_moe": "lmkernel.families.qwen_moe:Qwen3Moe",
        "olmoe": "lmkernel.families.olmoe:Olmoe",
        "deepseek_v2": "lmkernel.families.deepseek:DeepseekV2",
        "deepseek_v3": "lmkernel.families.deepseek:DeepseekV3",
        "gpt_oss": "lmkernel.families.gpt_oss:GptOss",
        "gpt_neox": "lmkernel.families.gpt_neox:GptNeoX",
        "falcon": "lmkernel.families.falcon:Falcon",
        "bloom": "lmkernel.families.bloom:Bloom",
        "opt": "lmkernel.families.opt:Opt",
        "gpt2": "lmkernel.families.gpt2:Gpt2",
        "bert": "lmkernel.families.bert:Bert",
        "roberta": "lmkernel.families.roberta:Roberta",
        "xlm-roberta": "lmkernel.families.roberta:XlmRoberta",
        "camembert": "lmkernel.families.roberta:Camembert",
        "distilbert": "lmkernel.families.distilbert:DistilBert",
        "electra": "lmkernel.families.electra:Electra",
        "mpnet": "lmkernel.families.mpnet:MpNet",
        "albert": "lmkernel.families.albert:Albert",
        "deberta-v2": "lmkernel.families.deberta:Deberta",
        "modernbert": "lmkernel.families.modernbert:ModernBert",
        "vit": "lmkernel.families.vit:Vit",
        "dinov2": "lmkernel.families.dinov2:Dinov2",
        "clip": "lmkernel.families.clip:Clip",
        "siglip": "lmkernel.families.siglip:Siglip",
        "smolvlm": "lmkernel.families.idefics3:SmolVlm",
        "idefics3": "lmkernel.families.idefics3:Idefics3",
        "llava": "lmkernel.families.llava:Llava",
        "t5": "lmkernel.families.t5:T5",
        "mt5": "lmkernel.families.t5:Mt5",
        "umt5": "lmkernel.families.t5:Umt5",
        "bart": "lmkernel.families.bart:Bart",
        "mbart": "lmkernel.families.bart_kin:MBart",
        "pegasus": "lmkernel.families.bart_kin:Pegasus",
        "m2m_100": "lmkernel.families.bart_kin:M2m100",
        "marian": "lmkernel.families.bart_kin:Marian",
        "whisper": "lmkernel.families.whisper:Whisper",
        "wav2vec2": "lmkernel.families.wav2vec2:Wav2Vec2",
        "hubert": "lmkernel.families.wav2vec2:Hubert",
    }
)


@hookimpl
def lmkernel_register_families() -> list[FamilySpec]:
    """By ``model_type``."""
    return [FamilySpec(name=n, load=load, contract="1.0") for n, load in FAMILIES.items()]
