"""Small checkpoints of every encoder and head: transformers' classes, and what makes them small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

__all__ = ["ENCODERS", "auto_class", "encoder_inputs", "encoder_output", "has_segments"]

VOCAB = 101
LABELS = {0: "no", 1: "perhaps", 2: "yes"}
SMALL: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "max_position_embeddings": 20,
}
BERT = {**SMALL, "type_vocab_size": 2, "layer_norm_eps": 1e-6}
ROBERTA = {**SMALL, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "hidden_act": "relu"}
DISTIL = {
    "vocab_size": VOCAB,
    "dim": 48,
    "hidden_dim": 80,
    "n_layers": 3,
    "n_heads": 6,
    "max_position_embeddings": 20,
}
MODERN = {
    **SMALL,
    "num_hidden_layers": 4,
    "local_attention": 6,
    "norm_eps": 1e-4,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
    "cls_token_id": None,
    "sep_token_id": None,
}
BIASED = {
    **MODERN,
    "norm_bias": True,
    "attention_bias": True,
    "mlp_bias": True,
    "classifier_bias": True,
    "decoder_bias": False,
    "classifier_pooling": "mean",
    "classifier_activation": "relu",
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 3e4},
        "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
    },
}
NARROW = {"embedding_size": 16}
ALBERT = {**BERT, **NARROW, "num_hidden_layers": 4, "num_hidden_groups": 2, "hidden_act": "gelu"}
MPNET = {**SMALL, "layer_norm_eps": 1e-5}
DEBERTA = {
    **SMALL,
    "layer_norm_eps": 1e-5,
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_buckets": 6,
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
}
APART = {
    **DEBERTA,
    "share_att_key": False,
    "position_buckets": -1,
    "norm_rel_ebd": "none",
    "max_relative_positions": 5,
    "position_biased_input": True,
    "type_vocab_size": 2,
    "pooler_hidden_act": "relu",
}
AUTO: Mapping[str, str] = {
    "Model": "AutoModel",
    "ForMaskedLM": "AutoModelForMaskedLM",
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForTokenClassification": "AutoModelForTokenClassification",
    "ForQuestionAnswering": "AutoModelForQuestionAnswering",
    "ForMultipleChoice": "AutoModelForMultipleChoice",
    "ForPreTraining": "AutoModelForPreTraining",
}
NAMED = {"id2label": LABELS}
NAMED_HEADS = ("ForSequenceClassification", "ForTokenClassification")
ALL = tuple(AUTO)[:6]


def _kinds(
    name: str, classes: str, options: Mapping[str, Any], heads: tuple[str, ...]
) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """One kind for each head of a family."""
    return {
        f"{name} {head.removeprefix('For')}": (
            f"{classes}Config",
            classes + head,
            {**options, **(NAMED if head in NAMED_HEADS else {})},
        )
        for head in heads
    }


UNTIED = {"tie_word_embeddings": False}
ENCODERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    **_kinds("bert", "Bert", BERT, ALL[3:]),
    **_kinds("roberta", "Roberta", ROBERTA, ALL),
    "roberta untied": ("RobertaConfig", "RobertaForMaskedLM", {**ROBERTA, **UNTIED}),
    "roberta padded": (
        "RobertaConfig",
        "RobertaForMaskedLM",
        {**ROBERTA, "pad_token_id": 0, "type_vocab_size": 2},
    ),
    **_kinds("xlm-roberta", "XLMRoberta", ROBERTA, ALL[1:3]),
    **_kinds("camembert", "Camembert", ROBERTA, ALL[1:2]),
    **_kinds("distilbert", "DistilBert", DISTIL, ALL),
    "distilbert untied": ("DistilBertConfig", "DistilBertForMaskedLM", {**DISTIL, **UNTIED}),
    **_kinds("electra", "Electra", {**BERT, **NARROW, "hidden_act": "relu"}, tuple(AUTO)),
    **_kinds("electra wide", "Electra", {**BERT, "embedding_size": 48, **UNTIED}, ALL[1:2]),
    **_kinds("mpnet", "MPNet", MPNET, ALL),
    **_kinds("albert", "Albert", ALBERT, ALL),
    **_kinds("deberta-v2", "DebertaV2", DEBERTA, ALL),
    **_kinds("deberta-v2 apart", "DebertaV2", APART, (ALL[1], ALL[5])),
    **_kinds("deberta-v2 queries", "DebertaV2", {**APART, "pos_att_type": "c2p"}, ALL[:1]),
    **_kinds("deberta-v2 plain", "DebertaV2", {**APART, "relative_attention": False}, ALL[:1]),
    **_kinds("modernbert", "ModernBert", MODERN, ALL[:5]),
    **_kinds("modernbert biased", "ModernBert", BIASED, ALL[1:3]),
}
"""By name: the classes of configuration and model, and the options."""


def auto_class(model: str) -> str:
    """The class that opens a model of this one."""
    return next(auto for head, auto in AUTO.items() if model.endswith(head))


def has_segments(options: Mapping[str, Any]) -> bool:
    """Whether its models tell segments apart."""
    return bool(options.get("type_vocab_size", 0) > 1)


def encoder_inputs(model: str, named: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """What to feed a model: one choice for each row, where it chooses."""
    import torch

    tensors = {name: torch.tensor(x) for name, x in named.items()}
    if model.endswith("ForMultipleChoice"):
        return {name: x[:, None] for name, x in tensors.items()}
    return tensors


def encoder_output(model: str, out: Any) -> torch.Tensor:
    """What a model answers, as one array: of rows or of positions, and their outputs."""
    import torch

    if "start_logits" in out:
        return torch.stack([out.start_logits, out.end_logits], -1)
    if "logits" not in out:
        return out.pooler_output if "pooler_output" in out else out.last_hidden_state
    return out.logits[..., None] if model.endswith("ForPreTraining") else out.logits
