"""Verbs that are only thin around what other packages do."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from lmkernel.arguments import require_flag
from lmkernel.loading import as_language_model
from lmkernel.paths import path_text
from lmkernel.progress import as_progress

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Unpack

    from lmkernel.inspection import Classification, Classifications
    from lmkernel.language_model import LanguageModel
    from lmkernel.progress import ProgressLike
    from lmkernel.tasks import (
        Answer,
        Answers,
        Filling,
        Fillings,
        Perplexities,
        Perplexity,
        Ranking,
        Rankings,
        Tagging,
        Taggings,
    )

    AnyModel = str | os.PathLike[str] | LanguageModel

__all__ = ["answer", "classify", "fill", "perplexity", "pull", "rerank", "tag"]


def pull(
    name: str,
    *,
    force: bool = False,
    progress: ProgressLike = True,
) -> Path:
    """Fetch a model by name, unless it is there, and return its folder.

    Args:
        name: a name that `lmkernel.models` lists, or ``hf:ORG/NAME``.
        force: fetch it anew even if it is there; if that fails, what was there stays.
        progress: True reports on standard error, False not at all; or a function to be called.

    Raises:
        UnknownNameError: no source serves this name.
        PullError: it could not be fetched; nothing has changed.
    """
    from lmkernel.sources.resolve import pull as fetched

    require_flag("force", force)
    return fetched(path_text(name, "name"), progress=as_progress(progress), force=force)


class Where(TypedDict, total=False):
    """Where a model that is not loaded yet runs; see `lmkernel.load`."""

    backend: str | None
    device: str | None
    dtype: str | None
    progress: ProgressLike


def classify(
    model: AnyModel,
    texts: str | tuple[str, str] | Sequence[str | tuple[str, str]],
    *,
    batch: int = 32,
    truncate: bool = False,
    **where: Unpack[Where],
) -> Classification | Classifications:
    """The class of a text, or of each of several, with the probability of every class.

    Args:
        model: fine-tuned by the objective ``"classification"``: loaded, or a name or folder.
        texts: a text, a pair of texts as a tuple, or several of either.
        batch: how many are computed at once.
        truncate: cut what is longer than the context.
        where: ``backend``, ``device`` and ``dtype`` of a model that is not loaded, and
            ``progress``; see `lmkernel.load`.

    Returns:
        For one text a `Classification`: ``label``, ``score``, ``scores`` by label; for several a
        sequence of them.

    Raises:
        LmkernelError: there is no such model, it tells no classes apart, or a text is too long.
    """
    from lmkernel.inspection import classify as classes_of

    return classes_of(as_language_model(model, **where), texts, batch=batch, truncate=truncate)


def tag(
    model: AnyModel,
    texts: str | Sequence[str],
    *,
    words: str = "first",
    batch: int = 32,
    **where: Unpack[Where],
) -> Tagging | Taggings:
    """The tagged spans of a text, or of each of several, such as the names in it.

    Args:
        model: fine-tuned by the objective ``"tagging"``: loaded, or a name or folder.
        texts: a text, or several, of any length.
        words: how the tags of a word's tokens become one: ``"first"``, ``"average"``, ``"max"``,
            ``"simple"`` or ``"none"``, as in transformers' pipeline.
        batch: how many are computed at once.
        where: ``backend``, ``device`` and ``dtype`` of a model that is not loaded, and
            ``progress``; see `lmkernel.load`.

    Returns:
        For one text a `Tagging`: ``found``, spans with ``label``, ``text``, ``start``, ``end`` and
        ``score``; for several a sequence of them.

    Raises:
        LmkernelError: there is no such model, it does not tag, or there is no text.
    """
    from lmkernel import tasks

    return tasks.tag(as_language_model(model, **where), texts, words=words, batch=batch)


def fill(
    model: AnyModel,
    texts: str | Sequence[str],
    *,
    top: int = 5,
    batch: int = 32,
    truncate: bool = False,
    **where: Unpack[Where],
) -> Filling | Fillings:
    """The likeliest tokens for each mask, such as ``[MASK]``, of a text or of several.

    Args:
        model: a masked language model: loaded, or a name or folder.
        texts: a text, or several, each with at least one mask.
        top: how many tokens for each mask.
        batch: how many texts are computed at once.
        truncate: cut what is longer than the context.
        where: ``backend``, ``device`` and ``dtype`` of a model that is not loaded, and
            ``progress``; see `lmkernel.load`.

    Returns:
        For one text a `Filling`: ``filled``, and ``masks``, guesses with ``text``, ``token`` and
        ``score``; for several a sequence of them.

    Raises:
        LmkernelError: there is no such model, it guesses no hidden tokens, or a text has no mask.
    """
    from lmkernel import tasks

    return tasks.fill(
        as_language_model(model, **where), texts, top=top, batch=batch, truncate=truncate
    )


def answer(
    model: AnyModel,
    questions: tuple[str, str] | Sequence[tuple[str, str]],
    *,
    no_answer: bool = True,
    longest: int = 30,
    batch: int = 8,
    **where: Unpack[Where],
) -> Answer | Answers:
    """The answer to a question from a document, or to each of several.

    Args:
        model: fine-tuned by the objective ``"answers"``, which finds the span of the document, or a
            decoder, which writes; loaded, or a name or folder.
        questions: a question and its document as a tuple, or several.
        no_answer: whether there may be none.
        longest: the most tokens of an answer.
        batch: how many are computed at once.
        where: ``backend``, ``device`` and ``dtype`` of a model that is not loaded, and
            ``progress``; see `lmkernel.load`.

    Returns:
        For one question an `Answer`: ``text``, empty for none, ``score``, ``start``, ``end`` and
        ``no_answer``; for several a sequence of them.

    Raises:
        LmkernelError: there is no such model, it can't answer, or a question is too long.
    """
    from lmkernel import tasks

    own = as_language_model(model, **where)
    return tasks.answer(own, questions, no_answer=no_answer, longest=longest, batch=batch)


def rerank(
    model: AnyModel,
    queries: tuple[str, Sequence[str]] | Sequence[tuple[str, Sequence[str]]],
    *,
    top: int | None = None,
    batch: int = 32,
    truncate: bool = False,
    **where: Unpack[Where],
) -> Ranking | Rankings:
    """Documents in the order of how well they fit a query, the best first.

    Args:
        model: a cross-encoder, which reads query and document together, or one that makes vectors;
            loaded, or a name or folder.
        queries: a query and its documents as a tuple, or several.
        top: only so many of the best.
        batch: how many documents are computed at once.
        truncate: cut what is longer than the context.
        where: ``backend``, ``device`` and ``dtype`` of a model that is not loaded, and
            ``progress``; see `lmkernel.load`.

    Returns:
        For one query a `Ranking`: ``ranked``, documents with ``index``, ``text`` and ``score``; for
        several a sequence of them.

    Raises:
        LmkernelError: there is no such model, it tells several classes apart, or a text is too
            long.
    """
    from lmkernel import tasks

    return tasks.rerank(
        as_language_model(model, **where), queries, top=top, batch=batch, truncate=truncate
    )


def perplexity(
    model: AnyModel,
    texts: str | Sequence[str],
    *,
    batch: int = 8,
    stride: int = 0,
    **where: Unpack[Where],
) -> Perplexity | Perplexities:
    """How well a model predicts a text, or each of several.

    Args:
        model: a decoder: loaded, or a name or folder.
        texts: a text, or several.
        batch: how many are computed at once.
        stride: reads longer texts than the context in windows that begin so far after each other.
        where: ``backend``, ``device`` and ``dtype`` of a model that is not loaded, and
            ``progress``; see `lmkernel.load`.

    Returns:
        For one text a `Perplexity`: ``perplexity``, ``log_prob``, ``tokens``, ``bits_per_byte``;
        for several a sequence of them.

    Raises:
        LmkernelError: there is no such model, it does not predict the next token, or a text is too
            long.
    """
    from lmkernel import tasks

    return tasks.perplexity(as_language_model(model, **where), texts, batch=batch, stride=stride)
