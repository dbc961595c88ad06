"""Ports with one defect each in norms or in attention."""

from __future__ import annotations

import family_breaks as more
import port_breaks as wrong
from broken_places import ATT, EMB, MLP
from port_breaks import Broken

LAYERS = [
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
]
