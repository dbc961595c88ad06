"""The base of RoPE, and the share of a head that turns, by each of their names: transformers'."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from lmkernel.errors import CheckpointError
from lmkernel.families.agreement import read_config
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.plugin import FAMILIES

SMALL = {
    "vocab_size": 37,
    "hidden_size": 64,
    "intermediate_size": 48,
    "num_hidden_layers": 6,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
EXPERTS = {
    "num_local_experts": 4,
    "num_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 1,
    "moe_intermediate_size": 8,
    "shared_expert_intermediate_size": 8,
    "n_group": 1,
    "topk_group": 1,
}
MIXED = ("mixtral", "olmoe", "qwen2_moe", "qwen3_moe", "deepseek_v2", "deepseek_v3")
LATENT = {
    "kv_lora_rank": 8,
    "q_lora_rank": None,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 16,
    "v_head_dim": 8,
    "head_dim": 16,
}
LINEAR = {"rope_type": "linear", "factor": 2.0}
PLAIN = {"rope_type": "default"}
SAID: dict[str, dict[str, Any]] = {
    "nothing": {},
    "usual": {"rope_theta": 777.0},
    "older": {"rotary_emb_base": 555.0},
    "both": {"rope_theta": 777.0, "rotary_emb_base": 555.0},
    "others": {"rope_base": 333.0, "rotary_base": 333.0, "rope_ratio": 50.0, "rope_pct": 0.5},
    "windows": {"global_rope_theta": 444.0, "local_rope_theta": 222.0},
    "window": {"rope_local_base_freq": 222.0},
    "share": {"partial_rotary_factor": 0.75},
    "older share": {"rotary_pct": 0.75},
    "both shares": {"rotary_pct": 0.75, "partial_rotary_factor": 0.5},
    "no share": {"partial_rotary_factor": None},
    "inside": {"rope_parameters": {**PLAIN, "rope_theta": 99.0}},
    "inside and beside": {
        "rope_parameters": {**PLAIN, "rope_theta": 99.0},
        "rope_theta": 777.0,
        "rotary_emb_base": 555.0,
    },
    "beside": {"rope_parameters": PLAIN, "rope_theta": 777.0},
    "older beside": {"rope_parameters": PLAIN, "rotary_emb_base": 555.0},
    "share inside": {"rope_parameters": {**PLAIN, "partial_rotary_factor": 0.75}},
    "scaled": {"rope_scaling": LINEAR, "rope_theta": 777.0},
    "older scaled": {"rope_scaling": LINEAR, "rotary_emb_base": 555.0},
    "share scaled": {"rope_scaling": LINEAR, "partial_rotary_factor": 0.75},
}
TURNING = [
    name
    for name in FAMILIES
    if "rope_parameters" in CONFIG_MAPPING[name].__dataclass_fields__ and name != "gpt_oss"
]
"""All that turn, but for one whose angles are scaled by YaRN unless a file says otherwise."""
TAKEN = ("nothing", "usual", "older", "both", "others")
"""What none of them refuses."""


def described(name: str, said: str) -> dict[str, Any]:
    own = {**SMALL, **(LATENT if name.startswith("deepseek") else {})}
    if name == "falcon":  # sizes that it has by other names
        own = {k: v for k, v in own.items() if k not in ("intermediate_size", "head_dim")}
    experts = EXPERTS if name in MIXED else {}
    return {"model_type": name, **own, **experts, **copy.deepcopy(SAID[said])}


def theirs(name: str, said: str) -> list[np.ndarray]:
    """The angles of one position that a model of transformers turns by; none where it makes none.

    Where there are several kinds of layers, each kind has its own.
    """
    try:
        config = CONFIG_MAPPING[name].from_dict(described(name, said))
        model: Any = transformers.AutoModel.from_config(config)
    except (KeyError, TypeError, StrictDataclassError):  # what they raise for other keys
        return []
    buffers = [x for n, x in model.named_buffers() if n.endswith("inv_freq") and "orig" not in n]
    return [x.to(torch.float64).numpy() for x in buffers]


def ours(name: str, said: str) -> list[np.ndarray] | None:
    """The same here; None where it is refused."""
    try:
        given = HfConfig(described(name, said))
        rotaries = read_config(find_family(name, "a test"), given).embedding.rotaries
    except CheckpointError:
        return None
    return [
        r.theta ** (-np.arange(0, r.dim, 2) / r.dim) / (r.factor if r.scaling == "linear" else 1)
        for r in rotaries
    ]


def is_among(angles: np.ndarray, others: list[np.ndarray]) -> bool:
    return any(len(angles) == len(x) and np.allclose(angles, x, rtol=1e-5) for x in others)


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("name", TURNING)
def test_angles_are_those_of_transformers_or_refused(name: str, said: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        there, here = theirs(name, said), ours(name, said)
    if said in TAKEN:
        assert here
        assert there
    if here is None or not there:
        return
    assert all(is_among(x, there) for x in here)
    assert all(is_among(x, here) for x in there)
