"""Ports of encoders with one defect each, T5's too, and of decoders of fused tensors.

Twins that are not made here are those of `family_configs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

import family_breaks as more
import port_breaks as wrong
from family_configs import BASE, ENCODER
from port_breaks import Broken

if TYPE_CHECKING:
    from port_breaks import Break

__all__ = ["CONFIGS", "PORTS"]

CONFIGS: dict[str, dict[str, Any]] = {
    "xlm_roberta": {
        **ENCODER,
        "model_type": "xlm-roberta",
        "architectures": ["XLMRobertaForMaskedLM"],
    },
    "distilbert": {
        "model_type": "distilbert",
        "architectures": ["DistilBertForMaskedLM"],
        "vocab_size": BASE["vocab_size"],
        "dim": BASE["hidden_size"],
        "hidden_dim": BASE["intermediate_size"],
        "n_layers": BASE["num_hidden_layers"],
        "n_heads": BASE["num_attention_heads"],
        "max_position_embeddings": BASE["max_position_embeddings"],
        "dropout": 0.0,
        "attention_dropout": 0.0,
    },
    "electra": {
        **ENCODER,
        "model_type": "electra",
        "architectures": ["ElectraForMaskedLM"],
        "embedding_size": 128,
    },
    "mpnet": {**ENCODER, "model_type": "mpnet", "architectures": ["MPNetForMaskedLM"]},
    "qwen3_5": {
        **BASE,
        "model_type": "qwen3_5_text",
        "head_dim": 32,
        "linear_num_key_heads": 4,
        "linear_num_value_heads": 8,
        "linear_key_head_dim": 32,
        "linear_value_head_dim": 32,
    },
}

EMB, ATT, MLP = "embedding", "layer 0 (attention)", "layer 0 (feed-forward)"


def _exchange_keys_and_values(x: Any) -> Any:
    """The rows of queries, then those of values, then those of keys: for twice as many queries."""
    import torch

    rows = x.shape[0] // 4
    return torch.cat([x[: 2 * rows], x[3 * rows :], x[2 * rows : 3 * rows]])


def _exchange_halves(x: Any) -> Any:
    import torch

    return torch.cat([x[x.shape[0] // 2 :], x[: x.shape[0] // 2]])


def _deal_rows(x: Any) -> Any:
    """Rows of gate and up are taken in turn."""
    import torch

    return torch.cat([x[::2], x[1::2]])


def _by_tanh(_: Any) -> Any:
    """GELU's approximation, in place of an activation."""
    from torch.nn import GELU

    return GELU("tanh")


def _all_ones(x: Any) -> Any:
    """A gate that lets everything through."""
    return x * 0 + 1


def _without(part: str, *names: str) -> Break:
    """Modules inside a part of the model are passed over."""
    return lambda model: wrong.replace_modules(*names)(model.get_submodule(part))


_OFFSET = more.change_weights("position_embeddings.weight", lambda x: x.roll(2, 0))
PORTS = [
    Broken("offset_xlm_roberta", "xlm_roberta", _OFFSET, EMB, "embedding.positions"),
    Broken("offset_mpnet", "mpnet", _OFFSET, EMB, "embedding.positions"),
    Broken(
        "no_distances",
        "mpnet",
        more.change_weights("relative_attention_bias.weight", lambda x: x * 0),
        MLP,
        "attention.relative",
    ),
    Broken(
        "embedding_norm_distilbert",
        "distilbert",
        _without("distilbert.embeddings", "LayerNorm"),
        EMB,
        "norm.embedding",
    ),
    Broken(
        "tanh_distilbert",
        "distilbert",
        more.change("ffn", activation=_by_tanh),
        MLP,
        "mlp.activation",
    ),
    Broken(
        "head_norm_electra",
        "electra",
        _without("generator_predictions", "LayerNorm"),
        "logits",
        "head.transform",
    ),
    Broken(
        "gate_modernbert",
        "modernbert",
        more.change_weights("mlp.Wi.weight", _exchange_halves),
        MLP,
        "mlp.exchanged",
    ),
    Broken(
        "theta_modernbert",
        "modernbert",
        more.change_rope("sliding_attention", rope_theta=160_000.0),
        "layer 1 (attention)",
        "rope.layers",
    ),
    Broken(
        "values_phi3",
        "phi3",
        more.change_weights("qkv_proj.weight", _exchange_keys_and_values),
        ATT,
        "attention.exchanged",
    ),
    Broken(
        "dealt_phi3",
        "phi3",
        more.change_weights("gate_up_proj.weight", _deal_rows),
        MLP,
        "mlp.interleaved",
    ),
    Broken(
        "still_qwen3_5",
        "qwen3_5",
        more.change_weights("A_log", lambda x: x * 0 - 1e4),
        ATT,
        "delta.decay",
    ),
    Broken(
        "taps_qwen3_5",
        "qwen3_5",
        more.change_weights("conv1d.weight", lambda x: x.flip(2)),
        ATT,
        "delta.taps",
    ),
    Broken(
        "gate_qwen3_5",
        "qwen3_5",
        lambda _: mock.patch("torch.sigmoid", _all_ones),
        "layer 3 (attention)",
        "attention.gate",
    ),
    Broken(
        "distances_t5",
        "t5",
        more.change_weights("relative_attention_bias.weight", lambda x: x * 0),
        "encoder layer 0 (attention)",
        "attention.relative",
    ),
    Broken(
        "scaled_t5",
        "t5",
        more.change("Attention", scaling=lambda a: a.key_value_proj_dim**-0.5),
        "encoder layer 0 (attention)",
        "attention.scale",
    ),
]
