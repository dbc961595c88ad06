"""Small random checkpoints by transformers' own classes: what makes each, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from encoder_kinds import ENCODERS, auto_class, encoder_inputs, encoder_output, has_segments
from sequence_kinds import SEQUENCES
from vision_kinds import PICTURES, SQUARE_PICTURES, TOWERS, VISION, picture_output

if TYPE_CHECKING:
    from collections.abc import Mapping

VOCAB, BATCH, TIME = 101, 4, 9
LENGTHS = np.array([9, 4, 7, 1])
GENERATOR = np.random.default_rng(17)
REAL = np.arange(TIME) < LENGTHS[:, None]
TOKENS = np.where(REAL, GENERATOR.integers(1, VOCAB, (BATCH, TIME)), 0)
ENDED = np.where(np.arange(TIME) == LENGTHS[:, None] - 1, VOCAB - 1, np.minimum(TOKENS, VOCAB - 2))
"""Texts whose last token is the largest of the vocabulary, and no other one."""
SOURCE_LENGTHS = np.array([6, 9, 1, 8])
SOURCE_REAL = np.arange(TIME) < SOURCE_LENGTHS[:, None]
SOURCE = np.where(SOURCE_REAL, np.random.default_rng(19).integers(1, VOCAB, (BATCH, TIME)), 0)
SOURCE_POSITIONS = np.where(SOURCE_REAL, np.arange(TIME), -1)
SOUND = np.random.default_rng(29).normal(size=(BATCH, 2 * TIME, 10)).astype(np.float32)
SEGMENTS = np.where(REAL, np.arange(TIME) >= LENGTHS[:, None] // 2, 0)
POSITIONS = np.where(REAL, np.arange(TIME), -1)
HEADS = {"num_attention_heads": 6, "num_key_value_heads": 2, "num_hidden_layers": 3}
GATED = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "intermediate_size": 80,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-4,
    **HEADS,
}
BERT = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "max_position_embeddings": 20,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-6,
}
GPT2 = {
    "vocab_size": VOCAB,
    "n_embd": 48,
    "n_layer": 3,
    "n_head": 6,
    "n_positions": 20,
    "n_inner": 80,
    "layer_norm_epsilon": 1e-4,
}
SLIDING = {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 0}
HALF = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}
SHARE = {"rope_parameters": HALF}
LONG = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "short_factor": [1.0, 1.3],
    "long_factor": [2.0, 4.0],
    "partial_rotary_factor": 0.5,
}
GEMMA = {"head_dim": 12, "query_pre_attn_scalar": 24, "sliding_window": 4}
EXPERTS = {"num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 24}
MLA = {
    "num_key_value_heads": 6,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 10,
    "qk_rope_head_dim": 8,
    "v_head_dim": 12,
    "first_k_dense_replace": 1,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "n_group": 4,
    "topk_group": 2,
    "moe_intermediate_size": 24,
    "routed_scaling_factor": 1.7,
}
MLA_YARN = {
    "rope_type": "yarn",
    "rope_theta": 1e4,
    "factor": 4.0,
    "mscale": 0.7,
    "mscale_all_dim": 0.9,
    "original_max_position_embeddings": 16,
}
DECODERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "phi3": ("Phi3Config", "Phi3ForCausalLM", {"pad_token_id": 0, "sliding_window": 5}),
    "phi3 long": (
        "Phi3Config",
        "Phi3ForCausalLM",
        {"pad_token_id": 0, "original_max_position_embeddings": 40, "rope_parameters": LONG},
    ),
    "gemma": ("GemmaConfig", "GemmaForCausalLM", {"head_dim": 12}),
    "gemma2": (
        "Gemma2Config",
        "Gemma2ForCausalLM",
        {**GEMMA, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 5.0},
    ),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM", {**GEMMA, "num_hidden_layers": 7}),
    "olmo2": ("Olmo2Config", "Olmo2ForCausalLM", {"attention_bias": True}),
    "smollm3": (
        "SmolLM3Config",
        "SmolLM3ForCausalLM",
        {
            "no_rope_layers": [1, 0, 1],
            "use_sliding_window": True,
            "sliding_window": 4,
            "pad_token_id": 0,
        },
    ),
    "granite": (
        "GraniteConfig",
        "GraniteForCausalLM",
        {
            "embedding_multiplier": 3.0,
            "logits_scaling": 4.0,
            "residual_multiplier": 0.22,
            "attention_multiplier": 0.3,
            "mlp_bias": True,
        },
    ),
    "cohere2": (
        "Cohere2Config",
        "Cohere2ForCausalLM",
        {"sliding_window": 4, "logit_scale": 0.25, "num_hidden_layers": 5, "layer_norm_eps": 1e-4},
    ),
    "mixtral": ("MixtralConfig", "MixtralForCausalLM", {"num_local_experts": 5}),
    "qwen2 moe": (
        "Qwen2MoeConfig",
        "Qwen2MoeForCausalLM",
        {**EXPERTS, "shared_expert_intermediate_size": 32, "mlp_only_layers": [1]},
    ),
    "qwen3 moe": (
        "Qwen3MoeConfig",
        "Qwen3MoeForCausalLM",
        {**EXPERTS, "head_dim": 12, "norm_topk_prob": True, "decoder_sparse_step": 2},
    ),
    "olmoe": (
        "OlmoeConfig",
        "OlmoeForCausalLM",
        {"num_experts": 6, "num_experts_per_tok": 2, "pad_token_id": 0},
    ),
    "deepseek v2": (
        "DeepseekV2Config",
        "DeepseekV2ForCausalLM",
        {**MLA, "topk_method": "group_limited_greedy", "n_shared_experts": 2, "q_lora_rank": None},
    ),
    "deepseek v3": (
        "DeepseekV3Config",
        "DeepseekV3ForCausalLM",
        {**MLA, "q_lora_rank": 20, "rope_parameters": MLA_YARN, "attention_bias": True},
    ),
    "deepseek v3 halves": (
        "DeepseekV3Config",
        "DeepseekV3ForCausalLM",
        {**MLA, "q_lora_rank": None, "rope_interleave": False, "norm_topk_prob": False},
    ),
    "gpt oss": (
        "GptOssConfig",
        "GptOssForCausalLM",
        {
            "num_local_experts": 5,
            "num_experts_per_tok": 3,
            "head_dim": 12,
            "sliding_window": 4,
            "swiglu_limit": 0.4,
        },
    ),
    "stablelm": (
        "StableLmConfig",
        "StableLmForCausalLM",
        {**SHARE, "use_qkv_bias": True, "layer_norm_eps": 1e-4},
    ),
    "stablelm parallel": (
        "StableLmConfig",
        "StableLmForCausalLM",
        {**SHARE, "use_parallel_residual": True, "layer_norm_eps": 1e-4},
    ),
}
PLAIN = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "max_position_embeddings": 64,
}
NEOX = {**PLAIN, "intermediate_size": 80, "layer_norm_eps": 1e-4, "rope_parameters": HALF}
FALCON = {**PLAIN, "layer_norm_epsilon": 1e-4, "ffn_hidden_size": 80, "bias": True}
OLDER: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gpt neox": ("GPTNeoXConfig", "GPTNeoXForCausalLM", NEOX),
    "gpt neox serial": (
        "GPTNeoXConfig",
        "GPTNeoXForCausalLM",
        {**NEOX, "use_parallel_residual": False, "attention_bias": False},
    ),
    "falcon": ("FalconConfig", "FalconForCausalLM", {**FALCON, "bias": False}),
    "falcon serial": (
        "FalconConfig",
        "FalconForCausalLM",
        {**FALCON, "alibi": True, "parallel_attn": False, "multi_query": False},
    ),
    "falcon newer": (
        "FalconConfig",
        "FalconForCausalLM",
        {**FALCON, "new_decoder_architecture": True, "num_kv_heads": 2},
    ),
    "bloom": (
        "BloomConfig",
        "BloomForCausalLM",
        {"vocab_size": VOCAB, "hidden_size": 48, "n_layer": 3, "n_head": 6},
    ),
    "opt": ("OPTConfig", "OPTForCausalLM", {**PLAIN, "ffn_dim": 80, "word_embed_proj_dim": 48}),
    "opt after": (
        "OPTConfig",
        "OPTForCausalLM",
        {**PLAIN, "ffn_dim": 80, "word_embed_proj_dim": 48, "do_layer_norm_before": False},
    ),
}
WHISPER = {
    "vocab_size": VOCAB,
    "num_mel_bins": 10,
    "d_model": 48,
    "encoder_layers": 2,
    "encoder_ffn_dim": 80,
    "encoder_attention_heads": 6,
    "decoder_layers": 3,
    "decoder_ffn_dim": 56,
    "decoder_attention_heads": 4,
    "max_source_positions": TIME,
    "max_target_positions": 20,
    "scale_embedding": True,
    "decoder_start_token_id": 2,
    "pad_token_id": 0,
    "bos_token_id": 0,
    "eos_token_id": 3,
}
LABELS = {0: "no", 1: "perhaps", 2: "yes"}


def use_eager_experts(model: Any) -> None:
    """The other ways in which transformers computes experts know no float64."""
    if getattr(model.config, "num_experts_per_tok", 0):
        model.set_experts_implementation("eager")


def as_modules_have_them(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors of a checkpoint by the names of transformers' parameters, which hold all experts."""
    found: dict[str, np.ndarray] = {}
    for name in sorted(tensors, key=lambda n: [int(x) if x.isdigit() else x for x in n.split(".")]):
        module = name.replace("block_sparse_moe", "mlp").replace("embed_out", "lm_head")
        layer, at, rest = module.partition(".mlp.experts.")
        if module == "final_logits_bias":  # a buffer there, which is not learnt
            continue
        if not at or not rest[0].isdigit():
            found[module] = tensors[name]
            continue
        number, product, _ = rest.split(".")
        if product in ("up_proj", "w3"):  # comes with its gate
            continue
        value = tensors[name]
        if product in ("gate_proj", "w1"):
            up = name.replace(".gate_proj.", ".up_proj.").replace(".w1.", ".w3.")
            value = np.concatenate([value, tensors[up]])
        whole = f"{layer}{at}" + ("down_proj" if product in ("down_proj", "w2") else "gate_up_proj")
        before = [] if number == "0" else [found[whole]]
        found[whole] = np.concatenate([*before, value[None]])
    return found


def named_dtype(model: Any) -> str:
    """The dtype of a model's floats, as NumPy calls it."""
    return str(model.dtype).removeprefix("torch.")


@dataclass(frozen=True)
class Kind:
    """One sort of checkpoint: transformers' classes, and what makes it small.

    ``source`` says that an encoder reads a source, and the tokens are the target's; ``sound``
    that the source is one. ``pictures`` says that pictures are read, and no tokens; ``pair``, that
    both are. ``alone`` says that transformers is asked row by row, without padding: Gemma 2 adds
    two mask minima in float64, which gives NaN where a window shows padding alone.
    """

    config: str
    model: str
    auto: str
    options: Mapping[str, Any]
    shards: str = "50GB"
    segments: bool = False
    alone: bool = False
    source: bool = False
    sound: bool = False
    pictures: bool = False
    pair: bool = False

    @property
    def causal(self) -> bool:
        """Of a pair, whether padding of texts is not seen."""
        return self.config == "CLIPConfig"

    def make(self) -> Any:
        """A random model, with weights and biases that all matter."""
        torch.manual_seed(11)
        config = getattr(transformers, self.config)(**self.options)
        model = getattr(transformers, self.model)(config)
        if self.sound:  # a table that transformers doesn't train, and opens
            model.model.encoder.embed_positions.requires_grad_()
        with torch.no_grad():
            learnt = [p for p in model.parameters() if p.requires_grad]
            for parameter in (
                *learnt,
                *[b for n, b in model.named_buffers() if n == "final_logits_bias"],
            ):
                parameter.add_(torch.randn_like(parameter) * 0.15)
            for name, buffer in model.named_buffers():
                if name.endswith("e_score_correction_bias"):
                    buffer.add_(torch.randn_like(buffer) * 0.3)
        use_eager_experts(model)
        return model.eval()

    def output(self, model: Any, rows: np.ndarray) -> Any:
        """The logits, or the pooled vector, of some rows."""
        if self.pictures:
            pixels = torch.tensor(PICTURES[rows]).to(model.dtype)
            return picture_output(model(pixel_values=pixels))
        if self.pair:
            pixels = torch.tensor(SQUARE_PICTURES[rows]).to(model.dtype)
            texts = torch.tensor(ENDED), torch.tensor(REAL if self.causal else np.ones_like(REAL))
            return model(texts[0], pixels, attention_mask=texts[1].long()).logits_per_image
        if self.alone:
            return torch.cat([self._row(model, row) for row in rows])
        named = {"input_ids": TOKENS[rows], "attention_mask": REAL[rows].astype(np.int64)}
        if self.source:
            named = {f"decoder_{name}": x for name, x in named.items()}
            named["input_ids"] = SOURCE[rows]
            named["attention_mask"] = SOURCE_REAL[rows].astype(np.int64)
        if self.sound:
            named.pop("attention_mask")
            named["input_features"] = SOUND[rows].transpose(0, 2, 1).astype(named_dtype(model))
            named.pop("input_ids")
        if self.segments:
            named["token_type_ids"] = SEGMENTS[rows]
        return encoder_output(self.model, model(**encoder_inputs(self.model, named)))

    def _row(self, model: Any, row: int) -> Any:
        """The logits of one row, with zeros at its padding."""
        length = LENGTHS[row]
        logits = model(torch.tensor(TOKENS[row : row + 1, :length])).logits
        return torch.nn.functional.pad(logits, (0, 0, 0, TIME - length))


CAUSAL = "AutoModelForCausalLM"
CLASSES = "AutoModelForSequenceClassification"
KINDS = {
    "gpt2": Kind("GPT2Config", "GPT2LMHeadModel", CAUSAL, GPT2, shards="60KB"),
    "gpt2 untied": Kind(
        "GPT2Config",
        "GPT2LMHeadModel",
        CAUSAL,
        {**GPT2, "tie_word_embeddings": False, "scale_attn_weights": False},
    ),
    "bert pooled": Kind("BertConfig", "BertModel", "AutoModel", BERT, segments=True),
    "bert masked": Kind(
        "BertConfig", "BertForMaskedLM", "AutoModelForMaskedLM", BERT, segments=True
    ),
    "bert untied": Kind(
        "BertConfig",
        "BertForMaskedLM",
        "AutoModelForMaskedLM",
        {**BERT, "tie_word_embeddings": False},
        segments=True,
    ),
    "bert classes": Kind(
        "BertConfig",
        "BertForSequenceClassification",
        CLASSES,
        {**BERT, "id2label": LABELS, "classifier_dropout": 0.2},
        segments=True,
    ),
    "mistral": Kind("MistralConfig", "MistralForCausalLM", CAUSAL, {**GATED, "sliding_window": 4}),
    "mistral wide": Kind(
        "MistralConfig",
        "MistralForCausalLM",
        CAUSAL,
        {**GATED, "sliding_window": None, "head_dim": 12, "tie_word_embeddings": True},
    ),
    "qwen2": Kind("Qwen2Config", "Qwen2ForCausalLM", CAUSAL, GATED),
    "qwen2 sliding": Kind("Qwen2Config", "Qwen2ForCausalLM", CAUSAL, {**GATED, **SLIDING}),
    **{
        name: Kind(config, model, CAUSAL, options)
        for name, (config, model, options) in OLDER.items()
    },
    **{
        name: Kind(config, model, CAUSAL, {**GATED, **options}, alone=name == "gemma2")
        for name, (config, model, options) in DECODERS.items()
    },
    **{
        name: Kind(config, model, auto_class(model), options, segments=has_segments(options))
        for name, (config, model, options) in ENCODERS.items()
    },
    **{
        name: Kind(config, model, "AutoModelForSeq2SeqLM", options, source=True)
        for name, (config, model, options) in SEQUENCES.items()
    },
    **{
        name: Kind(f"{config}Config", model, auto, options, pictures=True)
        for name, (config, model, auto, options) in VISION.items()
    },
    **{
        name: Kind(f"{config}Config", f"{config}Model", "AutoModel", options, pair=True)
        for name, (config, options) in TOWERS.items()
    },
    "whisper": Kind(
        "WhisperConfig",
        "WhisperForConditionalGeneration",
        "AutoModelForSpeechSeq2Seq",
        WHISPER,
        source=True,
        sound=True,
    ),
    "whisper untied": Kind(
        "WhisperConfig",
        "WhisperForConditionalGeneration",
        "AutoModelForSpeechSeq2Seq",
        {**WHISPER, "tie_word_embeddings": False, "activation_function": "relu"},
        source=True,
        sound=True,
    ),
    "qwen3": Kind("Qwen3Config", "Qwen3ForCausalLM", CAUSAL, {**GATED, "head_dim": 12}),
    "qwen3 biased": Kind(
        "Qwen3Config",
        "Qwen3ForCausalLM",
        CAUSAL,
        {**GATED, **SLIDING, "head_dim": 8, "attention_bias": True},
    ),
}


GROWING = {
    "phi3 long": replace(
        KINDS["phi3 long"],
        options={**KINDS["phi3 long"].options, "original_max_position_embeddings": 5},
    ),
    "llama dynamic": Kind(
        "LlamaConfig",
        "LlamaForCausalLM",
        CAUSAL,
        {
            **GATED,
            "max_position_embeddings": 5,
            "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0},
        },
    ),
}
