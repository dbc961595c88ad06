"""Ports whose RoPE has one defect each."""

from __future__ import annotations

import family_breaks as more
from broken_places import ATT, MLP
from port_breaks import Broken

ANGLES = [
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
]
