"""Choices of experts: which of them rounding alone may change.

A choice is a jump. Where two experts' scores are nearer to each other than both may be off, an
honest port may choose the other one, and nothing that hangs on it is near the reference any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmkernel.verification.structure import top_transformer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.config import ExpertsConfig, ModelConfig

__all__ = ["hanging", "mixtures", "undecided"]

_TWO = 2


def mixtures(config: ModelConfig) -> Mapping[str, tuple[str, ExpertsConfig]]:
    """By the name of each routing, the activation that comes of it, and who is chosen among."""
    _, stack = top_transformer(config)
    experts = {i: stack.layer(i).mlp.experts for i in range(stack.layers)}
    return {
        f"layer {i} (routing)": (f"layer {i} (feed-forward)", own)
        for i, own in experts.items()
        if own is not None
    }


def undecided(
    scores: NDArray[np.float64], error: NDArray[np.float64], config: ExpertsConfig
) -> NDArray[np.bool_]:
    """Whether other experts are chosen at a position, ``(time,)``, if scores are off.

    Args:
        scores: what they are chosen by, ``(time, experts)``.
        error: how far each expert's may be off, ``(experts,)``.
        config: how they are chosen.
    """
    open_ = np.zeros(len(scores), np.bool_)
    if config.groups > 1:
        grouped = np.sort(scores.reshape(len(scores), config.groups, -1))
        # a group is as good as its best expert, or its two best together
        counted = 1 if config.group_score == "max" else _TWO
        merit = grouped[..., -counted:].sum(-1)
        most = counted * error.reshape(config.groups, -1).max(-1)
        open_ = _near(merit, most, config.chosen_groups)
        out = merit < np.sort(merit)[:, -config.chosen_groups, None]
        scores = np.where(np.repeat(out, error.size // config.groups, 1), -np.inf, scores)
    return open_ | _near(scores, error, config.chosen)


def hanging(layers: Sequence[NDArray[np.bool_]], *, causal: bool) -> NDArray[np.bool_]:
    """The positions of a row whose logits hang on an undecided choice, ``(time,)``.

    Args:
        layers: what is undecided in each layer, the last layer's last.
        causal: whether a position is seen by later ones alone, or by all.
    """
    *inner, last = layers
    before = np.any([np.zeros_like(last), *inner], axis=0)
    seen = np.logical_or.accumulate(before) if causal else np.full_like(last, before.any())
    made: NDArray[np.bool_] = seen | last
    return made


def _near(
    scores: NDArray[np.float64], error: NDArray[np.float64], chosen: int
) -> NDArray[np.bool_]:
    """Whether one of the best may fall behind one of the others, ``(time,)``."""
    order = np.argsort(-scores, axis=1, kind="stable")
    least = np.take_along_axis(scores - error, order[:, :chosen], 1).min(1)
    others = np.take_along_axis(scores + error, order[:, chosen:], 1)
    made: NDArray[np.bool_] = least <= others.max(1, initial=-np.inf)
    return made
