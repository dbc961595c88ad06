"""Ports of a checkpoint for ``python:ports:NAME``: honest ones, and one with whatever is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import lmkernel as lk
from lmkernel.origin import open_origin
from lmkernel.verification.one_run import Input, Variant
from lmkernel.verification.part import part_of
from lmkernel.verification.running import variant_logits
from lmkernel.verification.structure import top_transformer, with_few_layers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass
class Wrong:
    """What is wrong with the port `broken`.

    Args:
        variant: another model.
        logits: what is done to its logits.
        positions: what is done to the positions that it is given.
    """

    variant: Variant = field(default_factory=Variant)
    logits: Callable[[Any], Any] = lambda x: x
    positions: Callable[[Any], Any] = lambda x: x


WRONG = Wrong()


def broken(ids: Any, positions: Any, checkpoint: Path) -> Any:
    """Logits in float32 of the model that `WRONG` says."""
    given = Input(ids.astype(np.int32), WRONG.positions(positions).astype(np.int32))
    part, variant = part_of(open_origin(checkpoint)), WRONG.variant
    if variant.config is not None:  # the first layers of a checkpoint have the same defect
        layers = top_transformer(part.config)[1].layers
        own = top_transformer(variant.config)[1].layers
        variant = replace(variant, config=with_few_layers(variant.config, min(layers, own)))
    if variant.layer_of is not None:
        last, which = top_transformer(part.config)[1].layers - 1, variant.layer_of
        variant = replace(variant, layer_of=lambda i: min(which(i), last))
    [logits] = variant_logits(part, [given], variant)
    return WRONG.logits(logits.astype(np.float32))


def honest(ids: Any, checkpoint: Path) -> Any:
    """One row at a time, logits alone."""
    return lk.load(checkpoint, backend="numpy").logits(ids.tolist())


def crash(ids: Any) -> Any:
    """A port that fails."""
    del ids
    raise ZeroDivisionError("so sorry")


def chatter(ids: Any, checkpoint: Path) -> Any:
    """A port that prints."""
    print("loading", ids.shape)  # noqa: T201 - that is what is wrong with it
    return honest(ids, checkpoint)


__all__ = ["WRONG", "Wrong", "broken", "chatter", "crash", "honest"]
