"""Vectors of sentences, which are made of the last hidden vectors, whatever head there is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel.inspection.embeddings import pool_hidden, unit_vectors
from lmkernel.inspection.sentence_settings import read_sentence_settings
from lmkernel.verification.one_run import Variant

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig
    from lmkernel.verification.part import Part
    from lmkernel.verification.subject import Kind

__all__ = ["HEADLESS", "pools", "sentence_view", "variant_for"]

HEADLESS = frozenset({"hidden", "vectors"})
"""What is compared of the last hidden vectors, and not of what a head makes of them."""


def pools(config: ModelConfig, kind: Kind) -> bool:
    """Whether there is one vector for each row, and not one for each position."""
    by_head = config.head is not None and config.head.pooling != "none"
    return kind == "vectors" or (by_head and kind not in HEADLESS)


def variant_for(part: Part, kind: Kind, variant: Variant | None = None) -> Variant:
    """What a checkpoint is run as, or a changed model of it: without its head for these."""
    own = variant or Variant()
    if kind not in HEADLESS:
        return own
    return replace(own, config=replace(own.config or part.config, head=None))


def sentence_view(part: Part) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """What makes of hidden vectors ``(1, time, width)`` the sentence's, ``(1, 1, size)``.

    Args:
        part: a checkpoint whose folder says how it pools, as `lmkernel.embed` reads it.

    Raises:
        CheckpointError: the folder's settings are damaged, or ask for what is not done here.
    """
    settings = read_sentence_settings(part.origin.own_files.sentence_folder)
    usual = "last" if part.config.encoder is None else "mean"

    def view(hidden: NDArray[Any]) -> NDArray[Any]:
        vectors = pool_hidden(hidden[0], settings.pooling or usual)[None]
        for layer in settings.dense:
            vectors = layer.apply(vectors)
        return (unit_vectors(vectors) if settings.normalize else vectors)[None]

    return view
