"""Families that talk about pictures: what a configuration may say, and what is refused."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from seeing_models import CONFIGS, IMAGE, TEXT, TOWER, VOCAB, seeing_model

import lmkernel as lk
from lmkernel.config import FeedForwardConfig
from lmkernel.errors import CheckpointError, ConfigError, InputError
from lmkernel.families.family import HfConfig, find_family

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.config import ModelConfig, SightConfig


def read(kind: str, **said: Any) -> ModelConfig:
    config = {**CONFIGS[kind], **said}
    return find_family(config["model_type"], "a test").read(HfConfig(config))


def sight_of(kind: str, **said: Any) -> SightConfig:
    found = read(kind, **said).sight
    assert found is not None
    return found


def test_how_many_vectors_a_picture_has() -> None:
    assert sight_of("smolvlm").count == 4
    assert sight_of("idefics3", scale_factor=4).count == 1
    assert sight_of("llava").count == 16
    assert sight_of("llava", vision_feature_select_strategy="full").count == 17


@pytest.mark.parametrize(("layer", "depth"), [(-1, 2), (-2, 1), (1, 1), (2, 2)])
def test_the_layer_whose_vectors_are_taken(layer: int, depth: int) -> None:
    found = sight_of("llava", vision_feature_layer=layer)
    assert (found.encoder.layers, found.encoder.final_norm) == (depth, False)


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        ("smolvlm", {"architectures": ["SmolVLMModel"]}, "expected SmolVLMForConditionalGen"),
        ("smolvlm", {"text_config": None}, "text_config: expected an object"),
        ("smolvlm", {"vision_config": 3}, "vision_config: expected an object, got 3"),
        ("smolvlm", {"text_config": {**TEXT, "model_type": "bert"}}, "expected one of llama"),
        ("smolvlm", {"vision_config": {**TOWER, "model_type": "clip"}}, "one of smolvlm_vision"),
        ("smolvlm", {"vision_config": {**TOWER, "image_size": [8, 6]}}, "expected squares"),
        ("smolvlm", {"scale_factor": 0}, "scale_factor: expected a positive integer"),
        ("smolvlm", {"scale_factor": 3}, "scale_factor: expected a divisor of the 4 patches"),
        ("smolvlm", {"image_token_id": VOCAB}, "image_token_id: expected a token of the vocab"),
        ("llava", {"image_token_index": 10**6}, "image_token_index: expected a token of the"),
        ("smolvlm", {"image_token_id": -1}, "image_token_id: expected an integer of at least 0"),
        ("llava", {"vision_feature_layer": 0}, "vision_feature_layer: expected one layer of 1"),
        ("llava", {"vision_feature_layer": 3}, "vision_feature_layer: expected one layer of 1"),
        ("llava", {"vision_feature_layer": [-2, -1]}, "expected one layer of 1 … 2"),
        ("llava", {"vision_feature_select_strategy": "all"}, "expected one of default, full"),
        ("llava", {"projector_hidden_act": "snake"}, "projector_hidden_act: expected one of"),
    ],
)
def test_what_cannot_be_read_is_refused(kind: str, said: dict[str, Any], expected: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        read(kind, **said)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        (
            "smolvlm",
            {"text_config": {**TEXT, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}},
            "sight: expected an embedding that is rows of a table",
        ),
    ],
)
def test_what_does_not_fit_together(kind: str, said: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        read(kind, **said)


def test_a_sight_that_does_not_fit_is_refused_without_a_file_too() -> None:
    from dataclasses import replace

    config, sight = read("smolvlm"), sight_of("smolvlm")
    with pytest.raises(ConfigError, match=r"joined: expected a divisor of both sides of 4 × 4"):
        replace(sight, joined=3)
    with pytest.raises(ConfigError, match=f"expected a token below {VOCAB}"):
        replace(config, sight=replace(sight, token=VOCAB))


def test_a_connector_of_another_width() -> None:
    from dataclasses import replace

    sight = sight_of("llava")
    with pytest.raises(ConfigError, match="connector: expected an input of width 24"):
        replace(sight, connector=FeedForwardConfig(widths=(20, 24)))
    with pytest.raises(ConfigError, match="depth: expected a number of layers from 1 to 2"):
        replace(sight, depth=3)


@pytest.mark.parametrize("kind", ["smolvlm", "idefics3", "llava"])
def test_a_model_survives_being_written(kind: str, tmp_path: Path) -> None:
    model = seeing_model(tmp_path / "m", kind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save(tmp_path / "again")
        again = lk.load(tmp_path / "again", backend="numpy")
    assert again.config == model.config
    assert set(again.parameters()) == set(model.parameters())
    document = json.loads((tmp_path / "again" / "config.json").read_text())
    assert document["text_config"]["eos_token_id"] == TEXT["eos_token_id"]
    assert document.get("image_token_id", document.get("image_token_index")) == IMAGE


@pytest.mark.parametrize("layers", [1, 3])
def test_a_tower_of_another_number_of_layers(layers: int, tmp_path: Path) -> None:
    seeing_model(tmp_path / "m", "smolvlm")
    path = tmp_path / "m" / "config.json"
    config = json.loads(path.read_text())
    config["vision_config"]["num_hidden_layers"] = layers
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=f"num_hidden_layers: expected .*, got {layers}"):
        lk.load(tmp_path / "m")


def test_it_is_trained_by_nothing() -> None:
    with pytest.raises(ConfigError, match="a smolvlm model is trained by nothing here"):
        find_family("smolvlm", "a test", "causal")


def test_a_published_configuration_is_read_without_a_warning(tmp_path: Path) -> None:
    """The keys of SmolVLM's first models, with small sizes."""
    left = {
        "is_llama_config": True,
        "neftune_noise_alpha": 0.0,
        "perceiver_config": {"qk_layer_norms_perceiver": False},
        "pixel_shuffle_factor": 2,
        "qk_layer_norms": False,
        "rope_interleaved": False,
        "use_resampler": False,
        "_flash_attn_2_enabled": True,
    }
    tower = {
        **TOWER,
        "model_type": "idefics3",
        "max_image_size": {"longest_edge": 8},
        "size": {"longest_edge": 16},
        "tie_word_embeddings": False,
        "use_base_siglip": False,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seeing_model(
            tmp_path / "m",
            "idefics3",
            text_config={**TEXT, **left},
            vision_config=tower,
            vocab_size=VOCAB,
            tie_word_embeddings=False,
        )


def test_what_joins_tokens_and_pictures_elsewhere_is_kept(tmp_path: Path) -> None:
    seeing_model(tmp_path / "m", "llava")
    said = {"processor_class": "LlavaProcessor", "patch_size": 2, "num_additional_image_tokens": 1}
    (tmp_path / "m" / "processor_config.json").write_text(json.dumps(said))
    lk.load(tmp_path / "m").save(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "processor_config.json").read_text()) == said


def test_a_chat_template_may_lie_beside_the_processor(tmp_path: Path) -> None:
    seeing_model(tmp_path / "m", "llava")
    path = tmp_path / "m" / "chat_template.json"
    path.write_text(json.dumps({"chat_template": "{{ messages[0]['content'][0]['text'] }}!"}))
    answer = lk.load(tmp_path / "m").chat("What?", max_new_tokens=1)
    assert len(answer.tokens) == 1
    asked = [{"role": "user", "content": [{"type": "text", "text": "What?"}]}]
    assert lk.load(tmp_path / "m").tokenizer.chat(asked) == "What?!"


def test_what_is_for_models_of_texts_alone_says_so(tmp_path: Path) -> None:
    seeing_model(tmp_path / "m", "smolvlm")
    with pytest.raises(InputError, match="expected a model of texts, got one that sees pictures"):
        lk.quantize(tmp_path / "m", tmp_path / "out", progress=False)
