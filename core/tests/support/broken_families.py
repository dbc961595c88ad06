"""Ports of many families with one defect each, and honest ones that look odd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import family_breaks as more
import port_breaks as wrong
from broken_angles import ANGLES
from broken_experts import EXPERTS
from broken_layers import LAYERS
from broken_places import ATT, EMB, MLP, TRUNCATED
from family_configs import CONFIGS
from port_breaks import Broken

if TYPE_CHECKING:
    from port_breaks import Break

PORTS = [
    *EXPERTS,
    *ANGLES,
    *LAYERS,
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
