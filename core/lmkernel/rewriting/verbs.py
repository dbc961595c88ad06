"""The verbs that make texts of texts: `translate` and `summarize`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Unpack

from lmkernel.arguments import as_items, require_count, require_flag
from lmkernel.errors import InputError, shown
from lmkernel.loading import as_language_model
from lmkernel.progress import as_progress
from lmkernel.rewriting.outcome import Rewriting, Rewritings
from lmkernel.rewriting.sources import Direction, source_rows

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from lmkernel.generation import GenerationChanges
    from lmkernel.language_model import LanguageModel
    from lmkernel.progress import ProgressLike

__all__ = ["summarize", "translate"]

_SUMMARY = "summarization"


def translate(
    model: str | os.PathLike[str] | LanguageModel,
    texts: str | Sequence[str],
    *,
    source: str | None = None,
    target: str | None = None,
    prefix: str | None = None,
    batch: int = 16,
    truncate: bool = False,
    backend: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    progress: ProgressLike = True,
    **changes: Unpack[GenerationChanges],
) -> Rewriting | Rewritings:
    """Translate a text, or several.

    Args:
        model: an encoder-decoder: loaded, or a name or folder.
        texts: a text, or several.
        source: the language of the texts, as the model calls it: ``"eng_Latn"`` for NLLB,
            ``"English"`` for T5; None for a model of one pair, or for the tokenizer's own.
        target: the language to write, the same way.
        prefix: what is written before each text, in place of what follows from the languages.
        batch: how many are computed at once.
        truncate: cut what is longer than the context.
        backend: where a model that is not loaded runs; see `lmkernel.load`.
        device: of the backend.
        dtype: of the computation.
        progress: True shows a bar on a terminal, False none; or a function to be called.
        changes: options of the generation, such as ``num_beams=4``; the others are those of the
            model's own files.

    Returns:
        For one text a `Rewriting`: ``text``, ``log_prob``; for several a sequence of them, which
        ``score`` compares with references.

    Raises:
        LmkernelError: there is no such model, it is no encoder-decoder, it does not know a
            language, or a text is empty or too long.
    """
    require_flag("truncate", truncate)
    loaded = _encoder_decoder(model, backend=backend, device=device, dtype=dtype, progress=progress)
    direction = Direction.of(loaded, source, target, prefix)
    return _rewrite(loaded, texts, direction, batch, progress, changes, truncate=truncate)


def summarize(
    model: str | os.PathLike[str] | LanguageModel,
    texts: str | Sequence[str],
    *,
    prefix: str | None = None,
    batch: int = 4,
    truncate: bool = False,
    backend: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    progress: ProgressLike = True,
    **changes: Unpack[GenerationChanges],
) -> Rewriting | Rewritings:
    """Summarise a text, or several; arguments, results and errors as of `translate`.

    Args:
        model: an encoder-decoder: loaded, or a name or folder.
        texts: a text, or several.
        prefix: what is written before each text; by default what the model's files say for
            summaries, ``"summarize: "`` for T5.
        batch: how many are computed at once.
        truncate: cut what is longer than the context.
        backend: where a model that is not loaded runs.
        device: of the backend.
        dtype: of the computation.
        progress: as of `translate`.
        changes: options of the generation.
    """
    require_flag("truncate", truncate)
    loaded = _encoder_decoder(model, backend=backend, device=device, dtype=dtype, progress=progress)
    tasks = loaded.origin.described.values.get("task_specific_params")
    task = tasks.get(_SUMMARY) if isinstance(tasks, dict) else None
    own = task.get("prefix") if isinstance(task, dict) else None
    direction = Direction(prefix=str(own or "") if prefix is None else prefix)
    return _rewrite(loaded, texts, direction, batch, progress, changes, truncate=truncate)


def _encoder_decoder(model: str | os.PathLike[str] | LanguageModel, **where: Any) -> LanguageModel:
    """The model, loaded, which must read a source."""
    loaded = as_language_model(model, **where)
    if not loaded.reads_sources:
        answers = ", which is asked by `generate` or `chat`" * (loaded.model.decoder is not None)
        raise InputError(
            f"expected an encoder-decoder, such as a T5 or a Marian model, got a "
            f"{loaded.origin.model_type} model{answers}"
        )
    return loaded


def _rewrite(
    model: LanguageModel,
    texts: str | Sequence[str],
    direction: Direction,
    batch: int,
    progress: ProgressLike,
    changes: Mapping[str, Any],
    *,
    truncate: bool,
) -> Rewriting | Rewritings:
    if isinstance(texts, str):
        return _some(model, [texts], direction, changes, truncate=truncate)[0]
    given = as_items(texts)
    if not given:
        raise InputError(f"expected one text or more, got {shown(texts)}")
    require_count("batch", batch)
    if len(given) <= batch:
        return Rewritings(_some(model, given, direction, changes, truncate=truncate))
    found: list[Rewriting] = []
    with as_progress(progress).bar("texts", len(given), "") as advance:
        for begin in range(0, len(given), batch):
            some = given[begin : begin + batch]
            found += _some(model, some, direction, changes, truncate=truncate)
            advance(len(some))
    return Rewritings(found)


def _some(
    model: LanguageModel,
    texts: Sequence[str],
    direction: Direction,
    changes: Mapping[str, Any],
    *,
    truncate: bool,
) -> list[Rewriting]:
    """A batch of texts."""
    rows = source_rows(model, texts, direction, truncate=truncate)
    forced = {"forced_bos_token_id": direction.forced} if direction.forced else {}
    asked: Any = {**forced, **changes}
    answers = model.generate_batch(rows, **asked)
    return [
        Rewriting(text, answer.text.strip(), math.fsum(answer.log_probs), answer.finish_reason)
        for text, answer in zip(texts, answers, strict=True)
    ]
