"""Defects of the embedding and of the head: their factors, positions and bounds."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.verification.defects.common import (
    Candidate,
    embedding_with,
    rewritten,
    without_norms,
    zeroed,
)
from lmkernel.verification.one_run import Variant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.config import HeadConfig, HeadTransformConfig, ModelConfig

__all__ = ["end_defects"]


def end_defects(config: ModelConfig) -> Iterator[Candidate]:
    """The embedding and the head: their factors, positions and bounds."""
    embedding, head = config.embedding, config.head
    root = embedding.width**0.5
    if embedding.scale != 1:
        words = "the scale of the embedding were missing"
        yield Candidate("embedding.scale", words, embedding_with(config, scale=1.0))
    else:
        words = "the embedding were scaled by the root of the width"
        yield Candidate("embedding.scale", words, embedding_with(config, scale=root))
    if embedding.positions == "learned":
        yield from _shifted("learned positions", "embedding.positions.weight")
        words = "there were no learned positions"
        yield Candidate("embedding.no_positions", words, Variant(change=zeroed("positions.weight")))
    target = config.target_embedding
    if target is not None and target.positions == "learned":
        yield from _shifted("the decoder's learned positions", "target_embedding.positions.weight")
    if embedding.positions == "sinusoidal":
        for way in sorted({"pairs", "halves", "halves_to_last"} - {embedding.sinusoids}):
            words = f"sines and cosines of positions lay in {way}, not in {embedding.sinusoids}"
            yield Candidate("embedding.sinusoids", words, embedding_with(config, sinusoids=way))
    if embedding.segments:
        words = "the vector of the first segment were not added"
        yield Candidate("embedding.segments", words, Variant(change=zeroed("segments.weight")))
    if head is not None:
        yield from _head_defects(head, config)


def _shifted(what: str, ending: str) -> Iterator[Candidate]:
    """Tables of positions whose names end so, off by a few rows."""
    for by in (1, 2, -1, -2):
        shifted = rewritten(partial(np.roll, shift=-by, axis=0), ending)
        words = f"{what} were off by {by:+d}"
        yield Candidate("embedding.positions", words, Variant(change=shifted))


def _head_defects(head: HeadConfig, config: ModelConfig) -> Iterator[Candidate]:
    def with_head(**changes: Any) -> Variant:
        return Variant(config=replace(config, head=replace(head, **changes)))

    if head.softcap is not None:
        words = "the soft cap of logits were ignored"
        yield Candidate("head.softcap", words, with_head(softcap=None))
    if head.scale != 1:
        for what, factor in (("missing", 1.0), ("inverted", 1 / head.scale)):
            words = f"the factor of logits were {what}"
            yield Candidate("head.scale", words, with_head(scale=factor))
    if head.bias:
        words = "the bias of the head were left out"
        yield Candidate("head.bias", words, Variant(change=zeroed("head.bias")))
    fits = (config.embedding.vocab, config.embedding.table_width) == (head.size, head.inner)
    if not head.tied and fits and head.pooling == "none":
        words = "the head were the embedding's table, though it has a weight of its own"
        yield Candidate("head.tied", words, with_head(tied=True))
    if head.transform is not None:
        yield from _transform_defects(head, head.transform, config)
    yield from _pooling_defects(head, config)


def _pooling_defects(head: HeadConfig, config: ModelConfig) -> Iterator[Candidate]:
    """Which vector of a row is read."""

    def with_head(**changes: Any) -> Variant:
        return Variant(config=replace(config, head=replace(head, **changes)))

    for pooling in ("first", "last", "mean"):
        if head.pooling not in ("none", pooling):
            words = f"a row's vector were its {pooling} instead of its {head.pooling}"
            changed = with_head(pooling=pooling, skipped=None, token=None, pool=None)
            yield Candidate("head.pooling", words, changed)
    if head.skipped is not None:
        words = f"the token {head.skipped}, which is passed over, were a row's last like any other"
        yield Candidate("head.skipped", words, with_head(skipped=None))


def _transform_defects(
    head: HeadConfig, own: HeadTransformConfig, config: ModelConfig
) -> Iterator[Candidate]:
    """The dense layer before the output."""

    def with_transform(other: HeadTransformConfig | None) -> Variant:
        return Variant(config=replace(config, head=replace(head, transform=other)))

    if own.width in (0, head.width):
        words = "the dense layer before the output were left out"
        yield Candidate("head.transform", words, with_transform(None))
    if own.norm is not None:
        words = "the norm before the output were left out"
        yield Candidate("head.transform", words, without_norms("head.norm"))
    for name in ("gelu", "gelu_tanh", "relu", "tanh", "none"):
        if name != own.activation:
            words = f"the activation before the output were {name} instead of {own.activation}"
            changed = with_transform(replace(own, activation=name))
            yield Candidate("head.transform", words, changed)
