"""The verb that says what is seen: `caption`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from lmkernel.captions.outcome import Caption, Captions
from lmkernel.inspection.pictures import several_pictures
from lmkernel.inspection.sentence_rows import in_batches
from lmkernel.loading import as_language_model
from lmkernel.pictures.reading import picture_name
from lmkernel.progress import as_progress
from lmkernel.prompts import chat_prompt

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from lmkernel.generation import GenerationChanges
    from lmkernel.inspection.pictures import Picture
    from lmkernel.language_model import LanguageModel
    from lmkernel.progress import ProgressLike

__all__ = ["QUESTION", "caption", "captions_of"]

QUESTION = "Describe this picture."
"""What a model is asked of each picture, unless it is asked something else."""


def caption(
    model: str | os.PathLike[str] | LanguageModel,
    pictures: Picture | Sequence[Picture],
    question: str = QUESTION,
    *,
    batch: int = 4,
    backend: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    progress: ProgressLike = True,
    **changes: Unpack[GenerationChanges],
) -> Caption | Captions:
    """Say what is seen in a picture, or in each of several.

    Args:
        model: one that is shown pictures, such as SmolVLM or LLaVA: loaded, or a name or folder.
        pictures: a path, bytes, pixels uint8 ``(height, width, 3)``, or several of them.
        question: what it is asked of each.
        batch: how many are answered at once.
        backend: where a model that is not loaded runs; see `lmkernel.load`.
        device: of the backend.
        dtype: of the computation.
        progress: True shows a bar on a terminal, False none; or a function to be called.
        changes: options of the generation, such as ``max_new_tokens=64``.

    Returns:
        For one picture a `Caption`: ``text``, ``finish_reason``; for several a sequence of them.

    Raises:
        LmkernelError: there is no such model, it is shown no pictures, or one cannot be read.
    """
    loaded = as_language_model(
        model, backend=backend, device=device, dtype=dtype, progress=progress
    )
    one, given = several_pictures(pictures)
    found: list[Caption] = []
    with as_progress(progress).bar("pictures", len(given), "") as advance:
        for some in in_batches(given, batch, "picture"):
            found += captions_of(loaded, some, question, changes)
            advance(len(some))
    return found[0] if one else Captions(found)


def captions_of(
    model: LanguageModel, pictures: Sequence[Picture], question: str, changes: Mapping[str, Any]
) -> Captions:
    """What is seen in each of a few pictures, all of which are answered at once."""
    prompts = [chat_prompt(model, question, picture) for picture in pictures]
    answers = model.generate_batch(prompts, **changes)
    return Captions(
        [
            Caption(picture_name(picture), answer.text.strip(), answer.finish_reason)
            for picture, answer in zip(pictures, answers, strict=True)
        ]
    )
