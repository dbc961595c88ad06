"""Where a row's vector is made: transformers' position, in classifiers of decoders and in CLIP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from decoder_kinds import DECODERS, GATED, OLDER
from letters import letters
from transformers import AutoModelForSequenceClassification

import lmkernel as lk
from lmkernel.native import as_module

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = {name: (f"{name}Config", {}) for name in ("Llama", "Mistral", "Qwen2")}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (config, {**GATED, **options}) for name, (config, options) in PLAIN.items()},
    "qwen3": ("Qwen3Config", {**GATED, "head_dim": 12}),
    **{name: (config, {**GATED, **options}) for name, (config, _, options) in DECODERS.items()},
    **{name: (config, options) for name, (config, _, options) in OLDER.items()},
}
KINDS = {
    name: kind
    for name, kind in KINDS.items()
    if getattr(transformers, kind[0]) in AutoModelForSequenceClassification._model_mapping
}
PADDING = 5
ROWS = ([9, 7, PADDING], [PADDING, 8, PADDING, 6, PADDING, PADDING], [PADDING, PADDING], [4, 6, 8])
BACKENDS = ("numpy", "torch", "jax", "tensorflow")


def classifier(folder: Path, kind: str, **said: Any) -> Any:
    """A random classifier of transformers, saved with a tokenizer."""
    torch.manual_seed(7)
    config, options = KINDS[kind]
    spread = "init_std" if config == "OPTConfig" else "initializer_range"
    settings = {**options, "num_labels": 3, spread: 0.4, **said}
    made = AutoModelForSequenceClassification.from_config(
        getattr(transformers, config)(**settings)
    ).eval()
    made.save_pretrained(folder)
    letters().save(folder)
    return made


def theirs(model: Any, ids: list[int], **more: Any) -> np.ndarray:
    with torch.inference_mode():
        found: np.ndarray = model(torch.tensor([ids]), **more).logits[0].float().numpy()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_padding_in_a_text_is_passed_over(kind: str, tmp_path: Path) -> None:
    model = classifier(tmp_path / "a", kind, pad_token_id=PADDING)
    ours = lk.load(tmp_path / "a", backend="numpy")
    ours.save(tmp_path / "b")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "b").eval()
    for ids in ROWS:
        expected = theirs(model, ids)
        np.testing.assert_allclose(ours.logits(ids), expected, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(theirs(again, ids), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["Llama", "gemma", "opt"])
@pytest.mark.parametrize("said", [None, -1, "class"])
def test_no_token_is_where_the_padding_is_none_or_no_text_has_it(
    kind: str, said: Any, tmp_path: Path
) -> None:
    more = {} if said == "class" else {"pad_token_id": said}
    model = classifier(tmp_path / "a", kind, **more)
    ours = lk.load(tmp_path / "a", backend="numpy")
    ours.save(tmp_path / "b")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "b").eval()
    for ids in ([9, 7, 0], [8, 1, 1], [0, 1], [4, PADDING]):
        expected = theirs(model, ids)
        np.testing.assert_allclose(ours.logits(ids), expected, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(theirs(again, ids), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_passes_it_over_in_a_batch(backend: str, tmp_path: Path) -> None:
    model = classifier(tmp_path, "Llama", pad_token_id=PADDING)
    ours = lk.load(tmp_path, backend=backend)
    own, ops, time = ours.model, ours.backend.ops, max(map(len, ROWS))
    ids = np.array([[3] * (time - len(row)) + row for row in ROWS], np.int32)
    places = np.array([[*[-1] * (time - len(row)), *range(len(row))] for row in ROWS], np.int32)
    with ours.backend.scope(), ours.backend.inference():
        arrays = [ops.asarray(x, "int32") for x in (ids, places)]
        got = ops.to_numpy(own.forward(ours.params, arrays[0], positions=arrays[1]))
    for row, logits in zip(ROWS, got, strict=True):
        np.testing.assert_allclose(logits, theirs(model, row), rtol=1e-3, atol=1e-3)


def test_as_a_module_it_does_so_too(tmp_path: Path) -> None:
    model = classifier(tmp_path, "Llama", pad_token_id=PADDING)
    module = as_module(lk.load(tmp_path, backend="torch"))
    ids = torch.tensor([[9, 7, 8, PADDING], [PADDING, PADDING, 6, PADDING]])
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
    with torch.inference_mode():
        want = model(ids, attention_mask=mask, position_ids=(mask.cumsum(-1) - 1).clamp(0)).logits
        got = module(ids, attention_mask=mask)
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("padding", [PADDING, None])
def test_verify_agrees_with_transformers(padding: int | None, tmp_path: Path) -> None:
    classifier(tmp_path, "Llama", pad_token_id=padding, max_position_embeddings=256)
    assert lk.verify(tmp_path, subject="transformers").passed


def test_a_trained_classifier_passes_over_what_its_tokenizer_pads_with(tmp_path: Path) -> None:
    data = tmp_path / "a.jsonl"
    rows = [{"text": f"row {n} {'ab'[n % 2]}", "label": ("x", "y")[n % 2]} for n in range(24)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sizes = {"width": 16, "layers": 1, "heads": 2, "context": 32, "vocab": 270}
    start = lk.pretrain(
        data, family="llama", steps=1, batch=2, out=tmp_path / "p", progress=False, **sizes
    )
    path = start.model / "tokenizer_config.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "pad_token": "<|endoftext|>"}))
    options: dict[str, Any] = {"objective": "classification", "steps": 2, "progress": False}
    run = lk.finetune(start.model, data, out=tmp_path / "run", **options)
    padding = lk.load(start.model, backend="numpy").tokenizer.pad_id
    assert padding is not None
    ours = lk.load(run.model, backend="numpy")
    assert ours.config.head is not None
    assert ours.config.head.skipped == padding
    model = AutoModelForSequenceClassification.from_pretrained(run.model).eval()
    ids = [*ours.token_ids("row 3 b"), padding]
    np.testing.assert_allclose(ours.logits(ids), theirs(model, ids), rtol=1e-4, atol=1e-5)


TEXT = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 20,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "image_size": 16,
    "patch_size": 8,
}
TEXTS = ([50, 9, 40, 7, 40, 3], [50, 9, 55, 7, 55], [2, 9, 7, 3], [9, 8, 2, 50, 2])


@pytest.mark.parametrize("end", [40, 2, 55, 49407])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_text_of_clip_ends_at_the_first_token_that_ends_it(
    backend: str, end: int, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    text = {**TEXT, "eos_token_id": end}
    described = transformers.CLIPConfig(
        text_config=text, vision_config=VISION, projection_dim=24, initializer_factor=20.0
    )
    model = transformers.CLIPModel(described).eval()
    model.save_pretrained(tmp_path / "a")
    letters().save(tmp_path / "a")
    ours = lk.load(tmp_path / "a", backend=backend)
    ours.save(tmp_path / "b")
    again = transformers.CLIPModel.from_pretrained(tmp_path / "b")
    assert again.config.text_config.eos_token_id == end
    for ids in TEXTS:
        with torch.inference_mode():
            expected = model.get_text_features(torch.tensor([ids])).pooler_output[0].numpy()
        np.testing.assert_allclose(ours.logits(ids), expected, rtol=1e-3, atol=1e-3)
