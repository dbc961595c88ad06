"""Small models that are shown pictures, by transformers' own classes, and prompts for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from vision_kinds import TOWER

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN, VOCAB, BATCH = 99, 101, 4
EACH = (1, 2, 1, 3)
"""How many pictures each row has."""
_DRAWN = np.random.default_rng(37)
PIXELS = _DRAWN.normal(size=(sum(EACH), 3, 17, 17)).astype(np.float32)
"""A pixel more than 4 patches of 4 pixels have on each side."""
_BEFORE = _DRAWN.integers(1, TOKEN, (BATCH, 8))
_OWNERS = np.repeat(np.arange(BATCH), EACH)
TEXT = {
    "model_type": "llama",
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 60,
    "max_position_embeddings": 80,
    "rms_norm_eps": 1e-4,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SEEN = {**TOWER, "image_size": 17}
_SMOL = {"text_config": TEXT, "vision_config": SEEN, "image_token_id": TOKEN, "scale_factor": 2}
_LLAVA = {
    "text_config": TEXT,
    "vision_config": {**SEEN, "model_type": "clip_vision_model"},
    "image_token_index": TOKEN,
    "image_seq_length": 16,
}
SIGHTS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "smolvlm": ("SmolVLM", 4, _SMOL),
    "smolvlm tied": ("SmolVLM", 1, {**_SMOL, "scale_factor": 4, "tie_word_embeddings": True}),
    "idefics3": ("Idefics3", 4, _SMOL),
    "llava": ("Llava", 16, _LLAVA),
    "llava last": (
        "Llava",
        17,
        {
            **_LLAVA,
            "vision_feature_layer": -1,
            "vision_feature_select_strategy": "full",
            "multimodal_projector_bias": False,
            "projector_hidden_act": "relu",
        },
    ),
    "llava first": ("Llava", 16, {**_LLAVA, "vision_feature_layer": 1}),
}
"""By name: what the classes begin with, the vectors of a picture, and the options."""


@dataclass(frozen=True)
class SeenRows:
    """Rows of ids of which some stand for vectors, padded on the right.

    Args:
        count: vectors of a picture.
    """

    count: int

    @property
    def tokens(self) -> np.ndarray:
        """Ids ``(batch, time)``: pictures after a token or more, and text behind them."""
        rows = []
        for number, pictures in enumerate(EACH):
            row = list(_BEFORE[number, : number + 1])
            for picture in range(pictures):
                row += [TOKEN] * self.count + [_BEFORE[number, 4 + picture]]
            rows.append(row + list(_BEFORE[number, : 5 - number]))
        most = max(map(len, rows))
        return np.array([row + [0] * (most - len(row)) for row in rows])

    @property
    def real(self) -> np.ndarray:
        """Which of them are no padding."""
        return self.tokens > 0

    @property
    def positions(self) -> np.ndarray:
        """Their positions, -1 for padding."""
        return np.where(self.real, np.arange(self.real.shape[1]), -1)

    def output(self, model: Any, rows: np.ndarray) -> torch.Tensor:
        """transformers' logits of some rows."""
        own = [PIXELS[row == _OWNERS] for row in rows]
        pixels = np.concatenate(own)
        if hasattr(model.config, "scale_factor"):  # an axis of rows, and zeros where one has less
            pixels = np.zeros((len(rows), max(map(len, own)), *PIXELS.shape[1:]), np.float32)
            for row, pictures in enumerate(own):
                pixels[row, : len(pictures)] = pictures
        made: torch.Tensor = model(
            input_ids=torch.tensor(self.tokens[rows]),
            attention_mask=torch.tensor(self.real[rows].astype(np.int64)),
            pixel_values=torch.tensor(pixels).to(model.dtype),
        ).logits
        return made


def as_seeing_modules_have_them(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors of a checkpoint by the names of transformers' parameters, but for what nobody reads.

    LLaVA's pictures do not go through all layers of its tower, whose gradient is nothing there.
    """
    unread = ("post_layernorm", ".layers.2.", ".layers.1.")
    found = {}
    for name, value in tensors.items():
        module = name.replace("language_model.lm_head", "lm_head")
        module = module.replace("language_model.model.", "model.language_model.")
        module = module.replace("vision_tower.vision_model.", "model.vision_tower.")
        if module.startswith("multi_modal_projector"):
            module = f"model.{module}"
        tower = ".vision_tower." in module and any(part in module for part in unread)
        if not tower or np.abs(value).max() > 0:
            found[module] = value
    return found
