"""Ports of mixtures of experts with one defect each."""

from __future__ import annotations

import family_breaks as more
from broken_places import ATT, LATER, MLP
from port_breaks import Broken

EXPERTS = [
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
]
