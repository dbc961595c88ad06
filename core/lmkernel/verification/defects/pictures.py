"""Defects of pictures that are shown to a decoder: which vectors of a tower it sees, and how."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lmkernel.config import MlpConfig, NormConfig
from lmkernel.verification.defects.common import Candidate, rewritten
from lmkernel.verification.one_run import Variant
from lmkernel.verification.structure import change_every

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig, SightConfig

__all__ = ["picture_defects"]

_EPSILONS = (1e-5, 1e-6, 1e-12)
_ACTIVATIONS = {"gelu": "erf GELU", "gelu_tanh": "tanh GELU"}


def picture_defects(config: ModelConfig) -> Iterator[Candidate]:
    """Those of the tower alone and of what follows it; none where no pictures are shown."""
    sight = config.sight
    if sight is None:
        return

    def seen(**changes: Any) -> Variant:
        return Variant(config=replace(config, sight=replace(sight, **changes)))

    layers = sight.encoder.layers
    whole: Any = sight.pictures.encoder
    for depth in (layers - 1, layers + 1):
        if 0 < depth <= whole.layers:
            words = f"pictures went through {depth} layers of their tower instead of {layers}"
            yield Candidate("pictures.depth", words, seen(depth=depth))
    if sight.depth is None:
        words = "the norm after the tower of pictures were left out"
        yield Candidate("pictures.norm", words, seen(depth=layers))
    if sight.joined > 1:
        words = "patches that become one vector were taken column by column"
        turned = rewritten(partial(_turn, sight=sight), "connector.layers.0.weight")
        yield Candidate("pictures.joined", words, Variant(change=turned))
    yield from _tower_defects(config, sight)


def _tower_defects(config: ModelConfig, sight: SightConfig) -> Iterator[Candidate]:
    def tower(kind: type, **changes: Any) -> Variant:
        other = change_every(sight.pictures, kind, lambda own: replace(own, **changes))
        return Variant(config=replace(config, sight=replace(sight, pictures=other)))

    norm, used = sight.encoder.norm, sight.encoder.mlp.activation
    for eps in _EPSILONS:
        if eps != norm.eps:
            words = f"the epsilon of the norms of pictures were {eps:g} instead of {norm.eps:g}"
            yield Candidate("pictures.eps", words, tower(NormConfig, eps=eps))
    for other, name in _ACTIVATIONS.items():
        if other != used:
            words = f"the activation of the tower of pictures were {name}"
            yield Candidate(
                "pictures.activation", words, tower(MlpConfig, activation=other, slope=1.0)
            )


def _turn(weight: NDArray[Any], sight: SightConfig) -> NDArray[Any]:
    """Columns of rows of patches as those of columns of patches."""
    side = sight.joined
    grid = weight.reshape(len(weight), side, side, -1)
    return grid.swapaxes(1, 2).reshape(weight.shape)
