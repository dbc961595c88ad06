"""What is asked of models of pictures, beside transformers' own functions and pipelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from picture_models import LABELS, picture_model, save_pictures
from PIL import Image

from lmkernel.tokenizers.sentences import sentence_ids

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.language_model import LanguageModel

BACKENDS = ("numpy", "torch")
NEAR: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}
"""A few dozen roundings of vectors of a few units; their exact bounds are `test_families`'s."""
TEXTS = ["a cat", "two dogs and a bird"]


def opened(folder: Path, kind: str = "AutoModel") -> Any:
    model = getattr(transformers, kind).from_pretrained(folder)
    assert model is not None
    return model.eval()


def pixels(folder: Path, paths: list[Path]) -> list[torch.Tensor]:
    process = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    return [
        process(Image.open(path), return_tensors="pt")["pixel_values"].float() for path in paths
    ]


def token_rows(model: LanguageModel, *, padded: bool) -> list[torch.Tensor]:
    rows = [sentence_ids(model.tokenizer, [text], 40)[0] for text in TEXTS]
    return [torch.tensor([[*row, *[0] * (40 - len(row) if padded else 0)]]) for row in rows]


@pytest.mark.parametrize("kind", ["vit bare", "dinov2"])
def test_vectors_of_pictures(kind: str, tmp_path: Path) -> None:
    model = picture_model(tmp_path / "m", kind)
    paths = save_pictures(tmp_path)
    theirs = opened(tmp_path / "m")
    with torch.inference_mode():
        hidden = [theirs(x).last_hidden_state for x in pixels(tmp_path / "m", paths)]
    expected = [x[0, 0].numpy() for x in hidden], [x[0].mean(0).numpy() for x in hidden]
    np.testing.assert_allclose(model.embed_pictures(paths), expected[0], **NEAR)
    np.testing.assert_allclose(model.embed_pictures(paths, "mean"), expected[1], **NEAR)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_vectors_of_texts_and_pictures(kind: str, backend: str, tmp_path: Path) -> None:
    model = picture_model(tmp_path / "m", kind).to(backend)
    paths = save_pictures(tmp_path)
    theirs = opened(tmp_path / "m")
    with torch.inference_mode():
        pictures = [
            theirs.get_image_features(pixel_values=x).pooler_output[0].numpy()
            for x in pixels(tmp_path / "m", paths)
        ]
        texts = [
            theirs.get_text_features(input_ids=x).pooler_output[0].numpy()
            for x in token_rows(model, padded=kind == "siglip")
        ]
    np.testing.assert_allclose(model.embed_pictures(paths), pictures, **NEAR)
    np.testing.assert_allclose(model.embed(TEXTS), texts, **NEAR)
    unit = model.embed_pictures(paths[0], normalize=True)
    np.testing.assert_allclose(unit, pictures[0] / np.linalg.norm(pictures[0]), **NEAR)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_classes_by_labels(kind: str, tmp_path: Path) -> None:
    """As the pipeline ``zero-shot-image-classification`` scores them."""
    model = picture_model(tmp_path / "m", kind)
    paths = save_pictures(tmp_path)
    theirs = opened(tmp_path / "m")
    texts = [f"This is a photo of {label}." for label in LABELS]
    rows = [sentence_ids(model.tokenizer, [text], 40)[0] for text in texts]
    size = 40 if kind == "siglip" else max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (size - len(row))] for row in rows])
    found = model.classify_pictures(paths, LABELS, batch=2)
    for one, path, x in zip(found, paths, pixels(tmp_path / "m", paths), strict=True):
        with torch.inference_mode():
            logits = theirs(input_ids=ids, pixel_values=x).logits_per_image[0]
        scores = logits.sigmoid() if kind == "siglip" else logits.softmax(-1)
        assert one.picture == str(path)
        np.testing.assert_allclose([*one.scores.values()], scores.numpy(), **NEAR)
        assert one.label == LABELS[int(scores.argmax())]


def test_classes_of_a_head(tmp_path: Path) -> None:
    model = picture_model(tmp_path / "m", "vit")
    paths = save_pictures(tmp_path)
    theirs = opened(tmp_path / "m", "AutoModelForImageClassification")
    found = model.classify_pictures(paths)
    for one, x in zip(found, pixels(tmp_path / "m", paths), strict=True):
        with torch.inference_mode():
            scores = theirs(x).logits[0].softmax(-1).numpy()
        np.testing.assert_allclose([*one.scores.values()], scores, **NEAR)
        assert tuple(one.scores) == LABELS


@pytest.mark.parametrize("kind", ["vit", "dinov2", "clip", "siglip"])
def test_a_model_that_is_saved_opens_there_whole(kind: str, tmp_path: Path) -> None:
    model = picture_model(tmp_path / "m", kind)
    model.save(tmp_path / "again")
    paths = save_pictures(tmp_path)
    [first] = pixels(tmp_path / "again", paths[:1])
    torch.testing.assert_close(first, pixels(tmp_path / "m", paths[:1])[0], rtol=0, atol=0)
    auto = "AutoModelForImageClassification" if kind == "vit" else "AutoModel"
    theirs, before = opened(tmp_path / "again", auto), opened(tmp_path / "m", auto)
    states = theirs.state_dict(), before.state_dict()
    assert [*states[0]] == [name for name in states[1] if "mask_token" not in name]
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=0, atol=0)
    if kind in ("clip", "siglip"):
        assert theirs.config.text_config.eos_token_id == before.config.text_config.eos_token_id
