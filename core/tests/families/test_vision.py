"""Families of pictures: what a configuration may say, and what is refused."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from picture_models import CONFIGS, SIZES, TEXTS, picture_model, save_pictures

import lmkernel as lk
from lmkernel.checkpoints.directory import open_model, write_directory
from lmkernel.config import HeadConfig, MlpConfig
from lmkernel.errors import CheckpointError, ConfigError
from lmkernel.families.family import HfConfig, find_family

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.config import ModelConfig


def read(kind: str, **said: Any) -> ModelConfig:
    config = {**CONFIGS[kind], **said}
    return find_family(config["model_type"], "a test").read(HfConfig(config))


def change(folder: Path, key: str, **said: Any) -> None:
    """Other values in a part of a folder's configuration."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, key: {**config[key], **said}}))


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        ("vit", {"architectures": ["ViTForMaskedImageModeling"]}, "expected ViTModel or ViTFor"),
        ("vit", {"image_size": 3}, "image_size: expected a patch at least, got 3"),
        ("vit", {"image_size": [4, 5, 6]}, "one number, or a height and a width"),
        ("vit", {"image_size": [4, "a"]}, "image_size: expected a positive integer, got 'a'"),
        ("vit", {"patch_size": 0}, "patch_size: expected a positive integer, got 0"),
        ("vit", {"hidden_act": "snake"}, "hidden_act: expected one of"),
        ("dinov2", {"image_size": [16, 20]}, "image_size: expected a square"),
        ("dinov2", {"layerscale_value": 0}, "layerscale_value: expected a number other than 0"),
        ("clip", {"text_config": None}, "text_config: expected an object"),
        ("clip", {"vision_config": 3}, "vision_config: expected an object, got 3"),
        ("clip", {"architectures": ["CLIPForImageClassification"]}, "expected CLIPModel"),
        ("clip", {"projection_dim": 0}, "projection_dim: expected a positive integer"),
        ("siglip", {"vision_config": {**SIZES, "image_size": [16, 8]}}, "expected squares"),
        ("siglip", {"vision_config": {**SIZES, "vision_use_head": False}}, "vision_use_head"),
        ("siglip", {"text_config": {**TEXTS, "layer_norm_eps": "x"}}, "layer_norm_eps"),
    ],
)
def test_what_cannot_be_read_is_refused(kind: str, said: dict[str, Any], expected: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read(kind, **said)
    assert expected in str(caught.value)


def test_vectors_of_unequal_size_cannot_be_compared() -> None:
    with pytest.raises(ConfigError, match="pair: expected two heads of one size"):
        read("siglip", text_config={**TEXTS, "projection_size": 20})


def test_the_older_part_of_a_configuration_goes_first() -> None:
    """As in transformers, which wrote two for a time."""
    found = read("clip", text_config_dict={**TEXTS, "num_hidden_layers": 1})
    assert getattr(found.encoder, "layers", 0) == 1


@pytest.mark.parametrize("part", ["text_config", "vision_config"])
@pytest.mark.parametrize("layers", [1, 3, 10**9])
def test_a_tower_of_another_number_of_layers(part: str, layers: int, tmp_path: Path) -> None:
    picture_model(tmp_path / "m", "clip")
    change(tmp_path / "m", part, num_hidden_layers=layers)
    with pytest.raises(CheckpointError, match=f"num_hidden_layers: expected .*, got {layers}"):
        lk.load(tmp_path / "m")


def test_a_key_inside_a_part_that_has_no_effect_is_named(tmp_path: Path) -> None:
    picture_model(tmp_path / "m", "clip")
    change(tmp_path / "m", "vision_config", dream=3)
    with pytest.warns(UserWarning, match=r"no effect: 'vision_config\.dream'"):
        lk.load(tmp_path / "m")


@pytest.mark.parametrize("kind", ["vit", "vit bare", "dinov2", "clip", "siglip"])
def test_a_model_survives_being_written(kind: str, tmp_path: Path) -> None:
    model, paths = picture_model(tmp_path / "m", kind), save_pictures(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save(tmp_path / "again")
        again = lk.load(tmp_path / "again", backend="numpy")
    assert again.config == model.config
    np.testing.assert_array_equal(again.embed_pictures(paths), model.embed_pictures(paths))
    if model.config.pair is not None:
        np.testing.assert_array_equal(again.embed(["a"]), model.embed(["a"]))


def test_a_vit_may_be_saved_without_its_pooler(tmp_path: Path) -> None:
    """As DINO's are, whose vectors are those of the first position."""
    whole, paths = picture_model(tmp_path / "m", "vit bare"), save_pictures(tmp_path)
    files = open_model(tmp_path / "m")
    kept = [name for name in files.tensors.names() if "pooler" not in name]
    write_directory(
        tmp_path / "bare",
        config=files.config,
        tensors=((name, files.tensors.read(name)) for name in kept),
        preprocessor=files.preprocessor,
    )
    bare = lk.load(tmp_path / "bare", backend="numpy")
    assert bare.config.head is None
    np.testing.assert_array_equal(bare.embed_pictures(paths), whole.embed_pictures(paths))
    bare.save(tmp_path / "again")
    assert lk.load(tmp_path / "again", backend="numpy").config == bare.config


@pytest.mark.parametrize("kind", ["vit", "clip", "siglip"])
def test_weights_of_few_bits_are_near(kind: str, tmp_path: Path) -> None:
    model, paths = picture_model(tmp_path / "m", kind), save_pictures(tmp_path)
    few = lk.load(tmp_path / "m", backend="numpy", weights="int8")
    exact, found = (m.embed_pictures(paths) for m in (model, few))
    cosines = (exact * found).sum(1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(found, axis=1)
    assert cosines.min() > 0.99
    assert np.abs(found - exact).max() > 0


def test_a_slope_is_of_silu_alone() -> None:
    assert MlpConfig(hidden=4, gated=False, slope=1.702).slope == 1.702
    with pytest.raises(ConfigError, match=r"slope: expected 1\.0 without silu"):
        MlpConfig(hidden=4, gated=False, activation="gelu", slope=1.702)


def test_a_head_without_a_product_has_the_size_pooled() -> None:
    with pytest.raises(ConfigError, match="product: expected a product, or no bias and the size"):
        HeadConfig(width=4, size=3, product=False)
    with pytest.raises(ConfigError, match="pool: expected an AttentionPoolConfig exactly"):
        HeadConfig(width=4, size=4, pooling="attention")
