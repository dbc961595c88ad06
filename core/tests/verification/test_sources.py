"""Models that read pictures and sounds: asked, judged, and refused where they cannot be asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from source_configs import CONFIGS, PARTS

import lmkernel as lk
from lmkernel.errors import InputError, SubjectError, UnknownNameError
from lmkernel.model.sight import picture_places
from lmkernel.origin import open_origin
from lmkernel.verification.cells import as_input
from lmkernel.verification.defects import candidates
from lmkernel.verification.one_run import Variant
from lmkernel.verification.part import part_of
from lmkernel.verification.prompts import choose_prompts
from lmkernel.verification.running import variant_logits
from lmkernel.verification.sources import choose_sources, with_pictures
from lmkernel.verification.verb import write_prompts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A twin of each."""
    folder = tmp_path_factory.mktemp("seen")
    made = {}
    for name, values in CONFIGS.items():
        (folder / f"{name}.json").write_text(json.dumps(values))
        made[name] = lk.twin(folder / f"{name}.json", folder / name).path
    return made


def verify(checkpoint: Path, subject: Any, **options: Any) -> Any:
    return lk.verify(checkpoint, subject=subject, level="quick", progress=False, **options)


@pytest.mark.parametrize(
    ("name", "part"), [(name, part) for name in CONFIGS for part in PARTS.get(name, ("texts",))]
)
def test_a_backend_is_right(name: str, part: str, seen: dict[str, Path]) -> None:
    found = verify(seen[name], "numpy", part=part)
    assert found.passed, found
    assert all(q["asked"] for q in found.document["questions"])
    reads = any("reads" in row for row in found.document["rows"])
    assert reads == (
        part == "pictures" or name in ("vit", "dinov2", "whisper", "wav2vec2", "hubert")
    )


def test_what_is_not_verified_is_said(seen: dict[str, Path]) -> None:
    texts, pictures, shown = (
        str(verify(seen[name], "numpy", part=part))
        for name, part in (("clip", "texts"), ("clip", "pictures"), ("smolvlm", "texts"))
    )
    assert "the tower of pictures is not verified; see --part pictures" in texts
    assert "the tower of texts and the factor of similarities are not verified" in pictures
    assert "what makes vectors of pictures is not verified; see --part pictures" in shown


def test_a_function_is_given_pixels(seen: dict[str, Path]) -> None:
    asked = []

    def port(pixels: Any) -> Any:
        asked.append(pixels.shape)
        return np.zeros((len(pixels), 3))

    found = verify(seen["vit"], port, diagnosing=False)
    assert found.parts_at == "logits"
    assert set(asked) == {(1, 3, 12, 12)}


def test_a_function_is_given_pictures_among_tokens(seen: dict[str, Path]) -> None:
    model = lk.load(seen["llava"], backend="numpy")
    sight = model.model.sight
    assert sight is not None

    def port(ids: Any, pictures: Any, later: int = 0) -> Any:
        with model.backend:
            ops = model.backend.ops
            vectors = sight(model.params, ops.asarray(pictures, "float32"))
            flat = ops.reshape(vectors, (-1, vectors.shape[-1]))
            places = picture_places(ids, sight.config.token)
            there = np.where(places < 0, -1, (places + later) % len(ops.to_numpy(flat)))
            shown = flat, ops.asarray(there.astype(np.int32), "int32")
            fed = ops.asarray(ids.astype(np.int32), "int32")
            return ops.to_numpy(model.model.forward(model.params, fed, shown=shown))

    assert verify(seen["llava"], port, part="pictures").passed
    found = verify(seen["llava"], lambda ids, pictures: port(ids, pictures, 1), part="pictures")
    assert found.parts_at == "logits"


def test_a_function_is_given_frames_and_a_target(seen: dict[str, Path]) -> None:
    model = lk.load(seen["whisper"], backend="numpy")

    def port(frames: Any, target: Any, factor: float = 1.0) -> Any:
        with model.backend:
            ops = model.backend.ops
            fed = ops.asarray(target.astype(np.int32), "int32")
            out = model.model.forward(model.params, ops.asarray(frames, "float32"), target=fed)
            return ops.to_numpy(out) * factor

    assert verify(seen["whisper"], port).passed
    found = verify(seen["whisper"], lambda frames, target: port(frames, target, 1.001))
    assert found.parts_at == "logits"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *(("vit", "texts"), ("siglip", "pictures"), ("whisper", "texts")),
        *(("smolvlm", "pictures"), ("llava", "pictures")),
    ],
)
def test_every_defect_that_fits_can_be_run(name: str, part: str, seen: dict[str, Path]) -> None:
    verified = part_of(open_origin(seen[name]), part)
    config = verified.config
    asked = (
        with_pictures(choose_prompts(config, None, "quick"), config)
        if config.sight
        else choose_sources(config)
    )
    rows = [as_input(asked.rows[0])]
    [right] = variant_logits(verified, rows, Variant())
    for one in candidates(config, 0):
        [made] = variant_logits(verified, rows, one.variant)
        assert made.shape == right.shape, one.id


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("vit", {"ids": [[1, 2]]}, InputError, "expected none, as the model reads pictures or"),
        ("vit", {"part": "sounds"}, UnknownNameError, "unknown part 'sounds'"),
        ("vit", {"part": "pictures"}, InputError, "no tower of pictures beside one of texts"),
        (
            "smolvlm",
            {"part": "pictures", "subject": lambda ids: ids},
            SubjectError,
            "every question of this model needs shown",
        ),
        ("vit", {"subject": "http:http://127.0.0.1:9"}, SubjectError, "refused"),
        ("vit", {"subject": "stdio:cat"}, SubjectError, "every question of this model needs pict"),
    ],
)
def test_what_cannot_be_asked_is_said(
    name: str, options: Any, error: type[Exception], words: str, seen: dict[str, Path]
) -> None:
    with pytest.raises(error, match=words):
        verify(seen[name], **{"subject": "numpy", **options})


def test_pictures_are_not_written_as_prompts(seen: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pictures and sounds are not written"):
        write_prompts(seen["vit"], tmp_path / "rows.jsonl")
