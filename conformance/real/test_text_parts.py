"""Checkpoints of texts and pictures, opened as models of texts, beside transformers' classes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from decoder_kinds import DECODERS, GATED
from honest_limits import Limit, limit_of
from letters import letters
from safetensors.numpy import load_file, save_file

import lmkernel as lk
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IDS = [5, 9, 3, 7, 2, 11, 4]
LEFT_OUT = r"part of texts is opened; \d+ tensors are left out"
SIGLIP = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
PATCHES = {**SIGLIP, "num_hidden_layers": 1, "image_size": 8, "patch_size": 4}
QWEN2 = {"depth": 1, "embed_dim": 16, "hidden_size": 48, "num_heads": 2, "patch_size": 4}
QWEN = {"depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "patch_size": 4}
SECTIONS = {"rope_type": "default", "rope_theta": 5000.0, "mrope_section": [1, 1, 2]}
WOVEN = {**SECTIONS, "mrope_section": [2, 2, 2], "mrope_interleaved": True}


@dataclass(frozen=True)
class Kind:
    """A kind of checkpoint: transformers' configuration, and the options of its two parts."""

    config: str
    text: dict[str, Any]
    vision: dict[str, Any]
    whole: dict[str, Any] = field(default_factory=dict)


GEMMA = {**GATED, **DECODERS["gemma3"][2]}
DELTA = {**GATED, **DECODERS["qwen3.5"][2]}
KINDS = {
    "gemma3": Kind("Gemma3Config", GEMMA, PATCHES, {"mm_tokens_per_image": 4}),
    "mistral3": Kind("Mistral3Config", {"model_type": "mistral", **GATED}, PATCHES),
    "qwen2_vl": Kind("Qwen2VLConfig", {**GATED, "rope_parameters": SECTIONS}, QWEN2),
    "qwen2_5_vl": Kind(
        "Qwen2_5_VLConfig",
        {**GATED, "rope_parameters": SECTIONS},
        {**QWEN, "out_hidden_size": 48, "fullatt_block_indexes": [0]},
    ),
    "qwen3_vl": Kind(
        "Qwen3VLConfig",
        {**GATED, "head_dim": 12, "rope_parameters": WOVEN},
        {**QWEN, "out_hidden_size": 48, "deepstack_visual_indexes": [0]},
    ),
    "qwen3_5": Kind("Qwen3_5Config", DELTA, {**QWEN, "out_hidden_size": 48}),
}


def saved(kind: str, folder: Path, **whole: Any) -> Any:
    """A random model of transformers' own class, saved with a tokenizer."""
    torch.manual_seed(5)
    made = KINDS[kind]
    config = getattr(transformers, made.config)(
        text_config=made.text, vision_config=made.vision, **{**made.whole, **whole}
    )
    model = transformers.AutoModelForImageTextToText.from_config(config).eval()
    model.save_pretrained(folder)
    letters().save(folder)
    return model


def logits_of(model: Any) -> Any:
    with torch.inference_mode():
        return model(torch.tensor([IDS])).logits[0].numpy()


def limit(model: Any) -> Limit:
    """Of the logits of a text, by transformers' own in float64 and in float32."""
    return limit_of(model, IDS, lambda output: output.logits)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_its_logits_for_a_text_are_transformers(kind: str, tied: bool, tmp_path: Path) -> None:
    expected = limit(saved(kind, tmp_path, tie_word_embeddings=tied))
    with pytest.warns(UserWarning, match=LEFT_OUT):
        ours = lk.load(tmp_path, backend="numpy")
    expected.judge("logits", ours.logits(IDS))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_written_as_a_model_of_texts(kind: str, tmp_path: Path) -> None:
    expected = limit(saved(kind, tmp_path / "whole"))
    with pytest.warns(UserWarning, match=LEFT_OUT):
        lk.load(tmp_path / "whole", backend="numpy").save(tmp_path / "text")
    again, told = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "text", output_loading_info=True
    )
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys"))
    expected.judge("theirs", logits_of(again.eval()))
    expected.judge("read again", lk.load(tmp_path / "text", backend="numpy").logits(IDS))


@pytest.mark.parametrize("kind", ["gemma3", "mistral3", "qwen2_vl", "qwen2_5_vl"])
def test_names_as_the_class_has_them_are_read_alike(kind: str, tmp_path: Path) -> None:
    model = saved(kind, tmp_path)
    stored = (tmp_path / "model.safetensors").read_bytes()
    model.save_pretrained(tmp_path, save_original_format=False)
    assert (tmp_path / "model.safetensors").read_bytes() != stored
    with pytest.warns(UserWarning, match=LEFT_OUT):
        limit(model).judge("logits", lk.load(tmp_path, backend="numpy").logits(IDS))


@pytest.mark.parametrize("kind", ["qwen2_vl", "qwen2_5_vl"])
def test_a_configuration_without_parts_is_read_alike(kind: str, tmp_path: Path) -> None:
    expected = limit(saved(kind, tmp_path))
    described = json.loads((tmp_path / "config.json").read_text())
    text = described.pop("text_config")
    ropes = text.pop("rope_parameters")
    sections = {"type": "mrope", "mrope_section": ropes["mrope_section"]}
    text |= {"rope_theta": ropes["rope_theta"], "rope_scaling": sections}
    (tmp_path / "config.json").write_text(json.dumps({**text, **described}))
    theirs = transformers.AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    expected.judge("theirs", logits_of(theirs))
    with pytest.warns(UserWarning, match=LEFT_OUT):
        expected.judge("logits", lk.load(tmp_path, backend="numpy").logits(IDS))


def another_part(described: dict[str, Any]) -> None:
    described["text_config"]["model_type"] = "mamba"


def none(described: dict[str, Any]) -> None:
    del described["text_config"]


def no_part(described: dict[str, Any]) -> None:
    described["text_config"] = 3


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (another_part, r"text_config.model_type: expected gemma3_text, got 'mamba'"),
        (none, "text_config: expected an object, got None"),
        (no_part, "text_config: expected an object, got 3"),
    ],
)
def test_a_part_that_is_another_is_refused(
    damage: Callable[[dict[str, Any]], None], told: str, tmp_path: Path
) -> None:
    saved("gemma3", tmp_path)
    described = json.loads((tmp_path / "config.json").read_text())
    damage(described)
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises(CheckpointError, match=told):
        lk.load(tmp_path, backend="numpy")


@pytest.mark.parametrize("name", ["model.norm.weight", "model.language_model.norm.weight"])
def test_a_tensor_that_is_there_twice_is_refused(name: str, tmp_path: Path) -> None:
    saved("gemma3", tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    stored = "language_model.model.norm.weight"
    save_file({**tensors, name: tensors[stored] + 1}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=f"'model.norm.weight' once, got .*{name}"):
        lk.load(tmp_path, backend="numpy")


@pytest.mark.parametrize("kind", KINDS)
def test_keys_that_a_file_lacks_are_those_of_transformers_class(kind: str) -> None:
    from lmkernel.families.family import HfConfig, find_family
    from lmkernel.families.text_parts import text_values

    text = {"model_type": "mistral"} if kind == "mistral3" else {}
    whole = getattr(transformers, KINDS[kind].config)(text_config=dict(text)).to_dict()
    lacking = {**whole, "text_config": text}
    read = []
    for values in (whole, lacking):
        said = text_values(values, "a test")
        family = find_family(said["model_type"], "a test")
        assert family.keys is not None
        read.append(family.read(HfConfig(said, "a test")))
    assert read[0] == read[1]
