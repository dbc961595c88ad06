"""Adapters of the small Llama as PEFT writes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save_file
from small import small_config, write_small

from lmkernel.backend import load_backend
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MODULE", "foreign"]

MODULE = "model.layers.0.self_attn.q_proj"


def foreign(folder: Path, rank: int = 2, **changes: Any) -> tuple[np.ndarray, np.ndarray]:
    """PEFT's files beside the small Llama in ``folder / "base"``; returns A and B."""
    random = np.random.default_rng(3)
    a = random.normal(size=(rank, 24)).astype(np.float32)
    b = random.normal(size=(48, rank)).astype(np.float32)
    base = folder / "base"
    write_small(base, Model(load_backend("numpy"), small_config()))
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": str(base),
        "r": rank,
        "lora_alpha": 8,
        "target_modules": ["0.self_attn.q_proj"],
        **changes,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    prefix = f"base_model.model.{MODULE}"
    both = {f"{prefix}.lora_A.weight": a, f"{prefix}.lora_B.weight": b}
    save_file(both, folder / "adapter_model.safetensors")
    return a, b
