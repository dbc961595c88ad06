"""The vectors of pictures, and what a model of pictures makes of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.arguments import require_flag
from lmkernel.checkpoints.directory import PREPROCESSOR
from lmkernel.errors import CheckpointError, InputError, shown
from lmkernel.families.hf_config import HfConfig
from lmkernel.inspection.embeddings import pool_hidden, unit_vectors
from lmkernel.inspection.outputs import check_finite, last_hidden_states
from lmkernel.inspection.sentence_rows import in_batches
from lmkernel.pictures.processor import read_processor
from lmkernel.pictures.reading import read_picture

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.language_model import LanguageModel
    from lmkernel.model import Model
    from lmkernel.pictures.processor import PictureProcessor

    Picture = str | os.PathLike[str] | bytes | NDArray[np.uint8]

__all__ = ["embed_pictures", "picture_outputs", "reads_pictures", "several_pictures"]


def reads_pictures(model: LanguageModel) -> bool:
    """Whether it reads pictures, alone or beside texts."""
    return _tower(model).config.embedding.patches is not None


def several_pictures(pictures: Picture | Sequence[Picture]) -> tuple[bool, list[Picture]]:
    """Whether a lone picture was given, and the pictures as a list; `InputError` for None."""
    one = not isinstance(pictures, list | tuple)
    given: list[Picture] = [pictures] if one else list(pictures)  # type: ignore[list-item, arg-type]  # follows from the line before
    if any(picture is None for picture in given):  # which means no picture further on
        raise InputError("pictures: expected paths, bytes or arrays of pixels, got None")
    return one, given


def embed_pictures(
    model: LanguageModel,
    pictures: Picture | Sequence[Picture],
    pooling: str | None = None,
    *,
    normalize: bool = False,
    batch: int = 8,
) -> NDArray[np.float32]:
    """One vector for each picture.

    Args:
        model: of pictures (ViT, DINOv2), or of texts and pictures (CLIP, SigLIP).
        pictures: a path, bytes, pixels uint8 ``(height, width, 3)``, or several of them.
        pooling: of the last hidden states, as `embed` names it; by default ``"first"``. A model of
            texts and pictures has its own, and takes none.
        normalize: whether vectors have length 1.
        batch: how many are computed at once.

    Returns:
        ``(pictures, width)``; ``(width,)`` for a lone one.

    Raises:
        InputError: no picture, or a model that reads none.
        CheckpointError: the model's folder does not say how pictures are prepared.
        NotFiniteError: a vector is NaN or infinite.
    """
    require_flag("normalize", normalize)
    one, given = several_pictures(pictures)
    own = model.config.pair is not None
    if own and pooling is not None:
        raise InputError(f"pooling: the model has its own, got {shown(pooling)}")
    made = (x for _, x in picture_outputs(model, given, batch, hidden=not own))
    if not own:
        made = (np.stack([pool_hidden(row, pooling or "first") for row in x]) for x in made)
    whole = np.concatenate(list(made))
    whole = unit_vectors(whole) if normalize else whole
    found: NDArray[np.float32] = (whole[0] if one else whole).astype(np.float32)
    return found


def picture_outputs(
    model: LanguageModel, pictures: Sequence[Picture], batch: int, *, hidden: bool = False
) -> Iterator[tuple[list[Picture], NDArray[np.float64]]]:
    """Some pictures at a time, with what the model makes of them.

    Args:
        model: that reads pictures.
        pictures: one or more.
        batch: how many at a time.
        hidden: whether the last hidden states are wanted, and not the output of the head.

    Returns:
        For some pictures at a time, these and ``(pictures, classes)``, or with ``hidden``
        ``(pictures, patches, width)``.

    Raises:
        InputError: the model reads no pictures, or one cannot be read or has another shape.
    """
    if not reads_pictures(model):
        raise InputError(
            f"expected a model that reads pictures, got a {model.origin.model_type} model"
        )
    process = _processor(model)
    for some in in_batches(pictures, batch, "picture"):
        pixels = [process(read_picture(picture)) for picture in some]
        for made in pixels:
            _check_shape(model, made.shape)
        # pictures that keep their proportions have sizes of their own
        alike = len({x.shape for x in pixels}) == 1
        rows = [np.stack(pixels)] if alike else [x[None] for x in pixels]
        outputs = [_run(model, row, hidden=hidden) for row in rows]
        if len({x.shape[1:] for x in outputs}) == 1:
            yield some, np.concatenate(outputs)
        else:  # hidden states of unequal length
            yield from (([one], x) for one, x in zip(some, outputs, strict=True))


def _processor(model: LanguageModel) -> PictureProcessor:
    said, path = model.files.preprocessor, model.files.path / PREPROCESSOR
    if not said:
        raise CheckpointError(f"{path}: no such file says how pictures are prepared")
    return read_processor(HfConfig(said, str(path)), model.origin.family.processor)


def _check_shape(model: LanguageModel, shape: tuple[int, ...]) -> None:
    """Refuse a processor that makes other pictures than the model reads."""
    patches = _tower(model).config.embedding.patches
    if patches is None:
        return
    channels, height, width = shape
    same = (height, width) == (patches.height, patches.width)
    large = height >= patches.patch_height and width >= patches.patch_width
    if channels != patches.channels or not (large if patches.resized else same):
        size = f"{patches.channels} × {patches.height} × {patches.width}"
        raise CheckpointError(
            f"{model.files.path / PREPROCESSOR}: the model reads pictures of {size} (channels, "
            f"height, width), got {channels} × {height} × {width}"
        )


def _tower(model: LanguageModel) -> Model:
    """What reads pictures: the whole model, or one of its two towers."""
    return model.model.pictures or model.model


def _run(model: LanguageModel, pixels: NDArray[np.float32], *, hidden: bool) -> NDArray[np.float64]:
    tower, ops = _tower(model), model.backend.ops
    params = model.params["pictures"] if tower is model.model.pictures else model.params
    with model.backend.scope(), model.backend.inference():
        x = ops.asarray(pixels, tower.policy.compute)
        if hidden:
            made: Any = last_hidden_states(tower, params, tower.embed(params, x))
        else:
            made = tower.forward(params, x)
        found: NDArray[np.float64] = ops.to_numpy(made).astype(np.float64)
    check_finite(model, found, "outputs")
    return found
