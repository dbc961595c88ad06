"""Pictures asked for by functions: what is refused, and what batches and forms do not change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from inspected import small_llama
from picture_models import LABELS, change_processor, picture_model, save_pictures
from PIL import Image

import lmkernel as lk
from lmkernel.errors import CheckpointError, InputError, UnknownNameError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_picture_in_each_form_is_the_same(tmp_path: Path) -> None:
    model = picture_model(tmp_path / "m", "clip")
    [path] = save_pictures(tmp_path, 1)
    forms = (path, str(path), path.read_bytes(), np.asarray(Image.open(path)))
    one, *others = (model.embed_pictures(form) for form in forms)
    assert one.shape == (12,)
    for other in others:
        np.testing.assert_array_equal(other, one)


@pytest.mark.parametrize("kind", ["vit", "dinov2", "clip", "siglip"])
def test_batches_change_nothing(kind: str, tmp_path: Path) -> None:
    model = picture_model(tmp_path / "m", kind)
    paths = save_pictures(tmp_path, 5)
    exact = lk.load(tmp_path / "m", dtype="float64").embed_pictures(paths)
    whole = model.embed_pictures(paths)
    alone = np.stack([model.embed_pictures(path) for path in paths])
    # products of other numbers of rows sum in another order: each is as honest as the first
    budget = 4 * np.abs(whole - exact).max()
    for what, other in (("pairs", model.embed_pictures(paths, batch=2)), ("alone", alone)):
        error = np.abs(other - exact).max()
        assert error <= budget, f"{what}: expected an error of at most {budget}, got {error}"
    assert np.linalg.norm(whole[1:] - whole[0], axis=1).min() > 1e-3


def test_the_order_of_labels_changes_nothing_else(tmp_path: Path) -> None:
    model = picture_model(tmp_path / "m", "clip")
    paths = save_pictures(tmp_path)
    for one, other in zip(
        model.classify_pictures(paths, LABELS),
        model.classify_pictures(paths, LABELS[::-1]),
        strict=True,
    ):
        assert one.label == other.label
        for label in LABELS:
            assert one.scores[label] == pytest.approx(other.scores[label], abs=1e-6)


def test_scores_of_clip_add_up_and_those_of_siglip_need_not(tmp_path: Path) -> None:
    [path] = save_pictures(tmp_path, 1)
    clip = picture_model(tmp_path / "c", "clip").classify_pictures(path, LABELS)
    assert sum(clip.scores.values()) == pytest.approx(1)
    alone = [
        picture_model(tmp_path / label, "siglip").classify_pictures(path, [label]).score
        for label in LABELS
    ]
    siglip = picture_model(tmp_path / "s", "siglip").classify_pictures(path, LABELS)
    np.testing.assert_allclose([*siglip.scores.values()], alone, rtol=1e-5)


def test_a_result_prints_as_json(tmp_path: Path) -> None:
    model = picture_model(tmp_path / "m", "vit")
    [path] = save_pictures(tmp_path, 1)
    found = model.classify_pictures([path])
    assert found.json()[0]["picture"] == str(path)
    assert found.rows()[0] == ["LABEL", "SCORE", "PICTURE"]
    assert set(found[0].scores) == set(LABELS)


@pytest.mark.parametrize("labels", [(), ("cat", "cat"), ("cat", ""), "cat,dog", ("cat", 3)])
def test_labels_that_tell_nothing_apart(labels: Any, tmp_path: Path) -> None:
    model = picture_model(tmp_path / "m", "clip")
    with pytest.raises(InputError, match="labels: the model tells apart what they say"):
        model.classify_pictures(save_pictures(tmp_path, 1), labels)


def test_what_the_kind_of_model_does_not_do(tmp_path: Path) -> None:
    vit, bare = picture_model(tmp_path / "v", "vit"), picture_model(tmp_path / "b", "vit bare")
    clip, paths = picture_model(tmp_path / "c", "clip"), save_pictures(tmp_path, 1)
    llama = small_llama(tmp_path / "l")
    with pytest.raises(InputError, match="expected none, as the model has its own"):
        vit.classify_pictures(paths, LABELS)
    with pytest.raises(InputError, match="tuned by the objective classification, got a vit model"):
        bare.classify_pictures(paths)
    with pytest.raises(InputError, match="pooling: the model has its own"):
        clip.embed_pictures(paths, "mean")
    with pytest.raises(InputError, match="pooling: the model has its own"):
        clip.embed(["cat"], "mean")
    with pytest.raises(UnknownNameError, match="pooling"):
        vit.embed_pictures(paths, "middle")
    with pytest.raises(InputError, match=r"template: expected \{\} in it, once"):
        clip.classify_pictures(paths, LABELS, template="a photo")
    with pytest.raises(InputError, match="expected a model that reads pictures, got a llama"):
        llama.embed_pictures(paths)
    with pytest.raises(CheckpointError, match="the model neither reads nor writes tokens"):
        vit.embed(["cat"])
    with pytest.raises(InputError, match="expected one picture or more"):
        vit.embed_pictures([])


def test_a_text_beyond_the_context_is_refused(tmp_path: Path) -> None:
    model = picture_model(tmp_path / "m", "siglip")
    with pytest.raises(InputError, match="40"):
        model.embed(["a" * 80])


def test_a_folder_that_does_not_say_how_pictures_are_prepared(tmp_path: Path) -> None:
    picture_model(tmp_path / "m", "vit")
    (tmp_path / "m" / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json: no such file says"):
        lk.load(tmp_path / "m").embed_pictures(save_pictures(tmp_path))


def test_the_file_of_a_whole_processor_says_so_too(tmp_path: Path) -> None:
    """transformers 5 writes one file for a tokenizer and a processor of pictures."""
    model, paths = picture_model(tmp_path / "m", "clip"), save_pictures(tmp_path)
    own = tmp_path / "m" / "preprocessor_config.json"
    whole = {"image_processor": json.loads(own.read_text()), "processor_class": "CLIPProcessor"}
    (tmp_path / "m" / "processor_config.json").write_text(json.dumps(whole))
    own.unlink()
    found = lk.load(tmp_path / "m").embed_pictures(paths)
    np.testing.assert_array_equal(found, model.embed_pictures(paths))


def test_a_processor_that_makes_another_size_is_told(tmp_path: Path) -> None:
    picture_model(tmp_path / "m", "vit")
    change_processor(tmp_path / "m", size=20)
    with pytest.raises(CheckpointError, match=r"\.json: .* 3 × 16 × 16 .*, got 3 × 20 × 20"):
        lk.load(tmp_path / "m").embed_pictures(save_pictures(tmp_path, 1))


def test_it_is_described(tmp_path: Path) -> None:
    described = picture_model(tmp_path / "m", "clip").describe()
    assert set(described.by_part) == {"embedding", "encoder", "head", "pictures", "pair"}
    assert "pictures" in str(described)
