"""Ports of many families with one defect each, and honest ones that look odd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import family_breaks as more
import port_breaks as wrong
from family_configs import CONFIGS
from port_breaks import Broken

if TYPE_CHECKING:
    from port_breaks import Break

EMB, ATT, MLP, END = "embedding", "layer 0 (attention)", "layer 0 (feed-forward)", "final norm"
TRUNCATED = "layer 0, or the embedding, the final norm or the head around it"
LATER = "layer 1 (feed-forward)"
PORTS = [
    # experts
    Broken(
        "renormalised",
        "qwen2_moe",
        more.reconfigure(norm_topk_prob=True),
        MLP,
        "experts.renormalize",
    ),
    Broken("fewer", "olmoe", more.reconfigure(num_experts_per_tok=1), MLP, "experts.chosen"),
    Broken("sigmoid", "olmoe", more.sigmoid_scores, MLP, "experts.scoring"),
    Broken(
        "no_shared",
        "qwen2_moe",
        more.change_weights("shared_expert.down_proj.weight", lambda x: x * 0),
        MLP,
        "experts.shared",
    ),
    Broken(
        "choice_bias",
        "deepseek_v3",
        more.change_weights("e_score_correction_bias", lambda x: x * 0),
        LATER,
        "experts.choice_bias",
    ),
    Broken(
        "routed_scale",
        "deepseek_v3",
        more.reconfigure(routed_scaling_factor=1.0),
        LATER,
        "experts.scale",
    ),
    Broken(
        "no_groups",
        "deepseek_v3",
        more.reconfigure(n_group=1, topk_group=1),
        LATER,
        "experts.groups",
    ),
    Broken(
        "no_sinks",
        "gpt_oss",
        more.change_weights("sinks", lambda x: x * 0 - 1e4),
        ATT,
        "attention.sinks",
    ),
    Broken("no_limit", "gpt_oss", more.change("experts", limit=1e6), "", "mlp.limit"),
    Broken("slope", "gpt_oss", more.change("experts", alpha=1.0), MLP, "mlp.slope"),
    Broken(
        "router_bias",
        "gpt_oss",
        more.change_weights("router.bias", lambda x: x * 0),
        MLP,
        "experts.router_bias",
    ),
    Broken(
        "expert_order",
        "mixtral",
        more.change_weights("mlp.gate.weight", lambda x: x.flip(0)),
        MLP,
        "experts.order",
    ),
    # RoPE
    Broken(
        "attention_factor",
        "yarn",
        more.change("rotary_emb", attention_scaling=1.0),
        ATT,
        "rope.attention_factor",
    ),
    Broken("betas", "yarn", more.change_rope(beta_fast=32, beta_slow=1), ATT, "rope.ramp"),
    Broken("linear_off", "linear", more.change_rope(rope_type="default"), ATT, "rope.scaling"),
    Broken("theta_lost", "linear", more.change_rope(rope_theta=10000.0), ATT, "rope.theta"),
    Broken(
        "both_lost",
        "llama3",
        more.change_rope(rope_type="default", rope_theta=10000.0),
        ATT,
        "rope.default",
    ),
    Broken("factor_of_31", "llama3", more.change_rope(factor=8.0), ATT, "rope.factor"),
    Broken("no_ramp", "llama3", more.change_rope(rope_type="linear"), ATT, "rope.linear"),
    Broken("dynamic_off", "dynamic", more.change_rope(rope_type="default"), "", "rope.scaling"),
    Broken(
        "long_factor",
        "phi3",
        more.change("rotary_emb", attention_scaling=1.0),
        ATT,
        "rope.attention_factor",
    ),
    Broken(
        "whole_head", "gpt_neox", more.change_rope(partial_rotary_factor=1.0), MLP, "rope.partial"
    ),
    Broken(
        "whole_stablelm",
        "stablelm",
        more.change_rope(partial_rotary_factor=1.0),
        ATT,
        "rope.partial",
    ),
    Broken(
        "local_theta",
        "gemma3",
        more.change_rope("sliding_attention", rope_theta=1e6),
        ATT,
        "rope.layers",
    ),
    Broken("queries_alone", "untied", more.rotate_one(0), ATT, "rope.one"),
    Broken(
        "everywhere",
        "smollm3",
        more.reconfigure(no_rope_layers=[1] * 4),
        "layer 2 (attention)",
        "rope.layers",
    ),
    Broken(
        "latent_scale",
        "deepseek_v2",
        more.change("self_attn", scaling=lambda a: a.qk_head_dim**-0.5),
        ATT,
        "attention.scale",
    ),
    # norms
    Broken("late_norm", "wide_heads", more.late_norm, ATT, "norm.qk_late"),
    Broken(
        "no_output_norm",
        "gemma2",
        wrong.replace_modules("post_attention_layernorm"),
        ATT,
        "norm.output",
    ),
    Broken(
        "w_for_1_plus_w",
        "gemma2",
        more.change_weights("norm.weight", lambda x: x - 1),
        ATT,
        "norm.offset",
    ),
    Broken(
        "embedding_norm",
        "bert_masked",
        lambda m: wrong.replace_modules("LayerNorm")(m.bert.embeddings),
        EMB,
        "norm.embedding",
    ),
    Broken("norm_bias", "gpt2_small", wrong.drop_bias("ln_1", "ln_2", "ln_f"), ATT, "norm.bias"),
    Broken(
        "sequential",
        "gpt_neox",
        more.reconfigure(use_parallel_residual=False),
        MLP,
        "layer.parallel",
    ),
    Broken("eps_1e7", "olmo2", wrong.set_eps(1e-3), ATT, "norm.eps"),
    # attention
    Broken(
        "no_cap",
        "gemma2",
        more.change("self_attn", attn_logit_softcapping=None),
        ATT,
        "attention.softcap",
    ),
    Broken(
        "head_scale",
        "gemma2",
        more.change(
            "self_attn", scaling=lambda a: 256**-0.5 if a.scaling != 256**-0.5 else a.head_dim**-0.5
        ),
        ATT,
        "attention.scale",
    ),
    Broken(
        "swapped_types",
        "gemma2",
        more.reconfigure(layer_types=["full_attention", "sliding_attention"] * 2),
        ATT,
        "layers.pattern",
    ),
    Broken(
        "all_sliding",
        "gemma3",
        more.reconfigure(layer_types=["sliding_attention"] * 4),
        "layer 2 (attention)",
        "layers.pattern",
    ),
    Broken("no_alibi", "bloom", more.no_alibi, ATT, "attention.alibi"),
    Broken(
        "no_local",
        "modernbert",
        more.reconfigure(layer_types=["full_attention"] * 4),
        "layer 1 (attention)",
        "layers.pattern",
    ),
    Broken("q_transposed", "mha", more.transpose("q_proj.weight"), ATT, "weights.transposed"),
    Broken(
        "heads_inside",
        "mha",
        more.change_weights(
            "o_proj.weight", lambda x: x.reshape(x.shape[0], 4, -1).transpose(1, 2).reshape(x.shape)
        ),
        ATT,
        "attention.order",
    ),
    Broken("k_bias", "yarn", wrong.drop_bias("k_proj"), ATT, "attention.bias"),
    Broken("v_bias", "yarn", wrong.drop_bias("v_proj"), ATT, "attention.bias"),
    Broken(
        "one_type", "deberta", more.change("self", pos_att_type=["c2p"]), ATT, "attention.distances"
    ),
    # ends
    Broken(
        "final_cap",
        "gemma2",
        wrong.set_config(final_logit_softcapping=None),
        "logits",
        "head.softcap",
    ),
    Broken(
        "no_embedding_scale",
        "gemma2",
        more.change("embed_tokens", embed_scale=lambda m: m.embed_scale * 0 + 1),
        EMB,
        "embedding.scale",
    ),
    Broken("multiplier", "granite", wrong.set_config(logits_scaling=1.0), "logits", "head.scale"),
    Broken(
        "inverted",
        "cohere2",
        lambda m: setattr(m, "logit_scale", 1 / m.logit_scale),
        "logits",
        "head.scale",
    ),
    Broken(
        "residual",
        "granite",
        more.reconfigure(residual_multiplier=1.0),
        ATT,
        "layer.residual_scale",
    ),
    Broken(
        "attention_multiplier",
        "granite",
        more.reconfigure(
            attention_multiplier=lambda c: (c.hidden_size // c.num_attention_heads) ** -0.5
        ),
        ATT,
        "attention.scale",
    ),
    Broken("offset_2", "opt", more.change("embed_positions", offset=0), EMB, "embedding.positions"),
    Broken(
        "offset_roberta",
        "roberta",
        more.change_weights("position_embeddings.weight", lambda x: x.roll(2, 0)),
        EMB,
        "embedding.positions",
    ),
    Broken("tied", "untied", more.tie, "logits", "head.tied"),
    Broken(
        "transform",
        "bert_masked",
        lambda m: setattr(m.cls.predictions, "transform", __import__("torch").nn.Identity()),
        "logits",
        "head.transform",
    ),
    Broken(
        "head_bias",
        "bert_masked",
        more.change_weights("predictions.bias", lambda x: x * 0),
        "logits",
        "head.bias",
    ),
    Broken("quick", "gpt2_small", more.activate(more.quick_gelu), MLP, "mlp.activation"),
    Broken("relu2", "opt", more.activate(more.squared_relu), MLP, "mlp.activation"),
    Broken("one_set", "albert", wrong.set_eps(1e-5), TRUNCATED, "norm.eps"),
    Broken("mean_pooled", "classes", more.mean_pooled, "logits", "head.pooling"),
    # encoder-decoders
    Broken("eps_t5", "t5", wrong.set_eps(1e-3), "encoder layer 0 (attention)", "norm.eps"),
    Broken(
        "decoder_scale", "t5", wrong.set_config(scale_decoder_outputs=False), "logits", "head.scale"
    ),
    Broken(
        "source_mask",
        "mbart",
        wrong.without("attention_mask"),
        "encoder layer 0 (attention)",
        "mask.ignored",
    ),
    Broken(
        "positions_mbart",
        "mbart",
        more.change("embed_positions", offset=0),
        EMB,
        "embedding.positions",
    ),
    # dtypes
    Broken(
        "weights_16",
        "wide_heads",
        more.change_weights("weight", lambda x: x.bfloat16().float()),
        EMB,
        "dtype.weights",
    ),
    Broken("norms_16", "untied", more.round_outputs("norm"), ATT, "dtype.norm"),
    Broken(
        "embedding_16",
        "untied",
        more.round_outputs("embed_tokens", "float16"),
        EMB,
        "dtype.embedding",
    ),
    Broken("all_16", "mha", more.answer_in("bfloat16"), EMB, "dtype.all"),
    # caches
    Broken("restart", "gpt2_small", more.forget_positions, "logits", "cache.positions"),
    Broken(
        "shifted_cache",
        "untied",
        more.one_by_one(lambda kv: (kv[0].roll(1, 2), kv[1])),
        "logits",
        "",
    ),
]


def untouched(_: object) -> None:
    return


HONEST: list[tuple[str, str, Break]] = [
    ("t5", "bfloat16", untouched),
    ("mbart", "float16", untouched),
    ("mixtral", "bfloat16", untouched),
    ("deepseek_v2", "bfloat16", untouched),
    ("deepseek_v3", "bfloat16", untouched),
    ("roberta", "float32", untouched),
    ("classes", "float32", untouched),
    ("mixtral", "float32", untouched),
    ("gemma2", "float16", untouched),
    ("gpt_oss", "bfloat16", untouched),
    ("deepseek_v3", "float32", untouched),
    ("deepseek_v2", "float32", untouched),
    ("bloom", "bfloat16", untouched),
    ("phi3", "float32", more.in_halves),
    ("deberta", "float32", more.in_halves),
    ("gemma3", "float32", more.in_float64),
    ("qwen2_moe", "float32", more.in_float64),
    ("untied", "tf32", more.in_tf32),
    ("wide_heads", "tf32", more.in_tf32),
    ("roberta", "tf32", more.in_tf32),
]
"""Twin, dtype, and what is done to it that changes roundings alone."""

__all__ = ["CONFIGS", "HONEST", "PORTS", "Broken"]
