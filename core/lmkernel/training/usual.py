"""What the verbs of training have in place of the settings' own defaults."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ADAPTER_RATE", "EVALUATE", "FINETUNE", "PRETRAIN"]

PRETRAIN: Mapping[str, Any] = MappingProxyType({"objective": "causal"})
"""What `pretrain` has in place of the settings' own defaults."""
FINETUNE: Mapping[str, Any] = MappingProxyType(
    {
        "objective": "instruction",
        "data": {"train": ""},  # somebody else's would say nothing
        "training": {"steps": 200, "batch": 8, "evaluate_every": 25, "checkpoint_every": 50},
        "schedule": {"kind": "cosine", "rate": 2e-5, "warmup": 10, "floor": 0.1},
        "optimizer": {"kind": "adamw", "weight_decay": 0.01},
    }
)
"""The same of `finetune`, for a whole model."""
ADAPTER_RATE = 2e-4
"""The usual learning rate of adapters (arXiv:2106.09685, appendix D)."""
EVALUATE: Mapping[str, Any] = MappingProxyType(
    {"objective": "causal", "data": {"train": ""}, "training": {"batch": 8}}
)
"""The same of `evaluate`."""
