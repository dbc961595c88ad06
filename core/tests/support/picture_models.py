"""Small models that read pictures, in folders as the ecosystem has them, and pictures for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

import lmkernel as lk
from lmkernel.checkpoints.directory import write_directory
from lmkernel.families.bert import Bert
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import from_ours
from lmkernel.model import Model
from lmkernel.training.data.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.language_model import LanguageModel

SIZES = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "image_size": 16,
    "patch_size": 4,
}
TEXTS = {
    "vocab_size": 261,
    "hidden_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 30,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
LABELS = ("cat", "dog", "bird")
CONFIGS: dict[str, dict[str, Any]] = {
    "vit": {**SIZES, "model_type": "vit", "architectures": ["ViTForImageClassification"]},
    "vit bare": {**SIZES, "model_type": "vit", "architectures": ["ViTModel"]},
    "dinov2": {
        **{key: value for key, value in SIZES.items() if key != "intermediate_size"},
        "model_type": "dinov2",
        "architectures": ["Dinov2Model"],
    },
    "clip": {
        "model_type": "clip",
        "projection_dim": 12,
        "text_config": TEXTS,
        "vision_config": SIZES,
    },
    "siglip": {
        "model_type": "siglip",
        "text_config": {**TEXTS, "projection_size": 24},
        "vision_config": SIZES,
    },
}
PROCESSORS: dict[str, dict[str, Any]] = {
    "vit": {"image_processor_type": "ViTImageProcessor", "size": 16},
    "vit bare": {"image_processor_type": "ViTImageProcessor", "size": 16},
    "dinov2": {
        "image_processor_type": "BitImageProcessor",
        "size": {"shortest_edge": 24},
        "do_center_crop": False,
    },
    "clip": {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 16},
        "crop_size": {"height": 16, "width": 16},
    },
    "siglip": {
        "image_processor_type": "SiglipImageProcessor",
        "size": {"height": 16, "width": 16},
    },
}


def picture_model(folder: Path, kind: str, **said: Any) -> LanguageModel:
    """A model whose outputs differ from picture to picture."""
    config = {**CONFIGS[kind], **said}
    if kind == "vit":
        config["id2label"] = {str(i): label for i, label in enumerate(LABELS)}
    tokenizer = None
    if "text_config" in config:
        tokenizer = train_tokenizer(["q"], 261, Bert().special_tokens())
        [end] = [tokenizer.special_id("sep_token")]
        config["text_config"] = {**config["text_config"], "eos_token_id": end}
    family = find_family(config["model_type"], "a test")
    model = Model(lk.load_backend("numpy"), family.read(HfConfig(config)))
    # towers draw larger weights than a ViT, whose family says how small they begin
    factor = np.float32(1.5 if model.pictures else 6.0)
    values = {n: x if n.endswith("scale") else factor * x for n, x in model.initial(3).items()}
    write_directory(
        folder,
        config=config,
        tensors=from_ours(values, family.rules(model.config), model.declare()),
        tokenizer=tokenizer,
        preprocessor=PROCESSORS[kind],
    )
    return lk.load(folder, backend="numpy")


def save_pictures(folder: Path, count: int = 3) -> list[Path]:
    """Pictures of unequal sizes, each of its own colours."""
    drawn = np.random.default_rng(41)
    paths = []
    for number in range(count):
        pixels = drawn.integers(0, 256, (5, 4, 3), dtype=np.uint8)
        size = (30 + 9 * number, 40 - 5 * number)
        paths.append(folder / f"{number}.png")
        Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(paths[-1])
    return paths


def change_processor(folder: Path, **values: Any) -> None:
    """Other values in a folder's ``preprocessor_config.json``."""
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
