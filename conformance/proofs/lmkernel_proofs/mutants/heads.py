"""Broken outputs of models: the wrong position pooled, a layer left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest import mock

from lmkernel.model.head import first_of_each_row, head
from lmkernel_proofs.mutants.mutant import Mutant

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MUTANTS"]


def _left_end(ops: Any, x: Any, positions: Any) -> Any:
    """Whatever is first in memory, padding or not."""
    return first_of_each_row(ops, x, ops.full(positions.shape, 0, "int32"))


def _last(ops: Any, x: Any, positions: Any) -> Any:
    """The last position."""
    del ops, positions
    return x[:, -1]


def _summed(ops: Any, x: Any, positions: Any) -> Any:
    """All positions together."""
    del positions
    return ops.sum(x, 1)


def _other(change: Callable[[Any], Any]) -> Callable[..., Any]:
    """The right head, of another configuration."""

    def broken(ops: Any, x: Any, params: Any, config: Any, weight: Any, **options: Any) -> Any:
        return head(ops, x, params, change(config), weight, **options)

    return broken


def _untransformed(config: Any) -> Any:
    """The dense layer before the product is left out."""
    return replace(config, transform=None)


def _unnormalized(config: Any) -> Any:
    """The dense layer ends without its norm."""
    return replace(config, transform=config.transform and replace(config.transform, norm=None))


def _approximate(config: Any) -> Any:
    """The tanh approximation in place of GELU."""
    t = config.transform
    rough = t and (replace(t, activation="gelu_tanh") if t.activation == "gelu" else t)
    return replace(config, transform=rough)


def _mutant(name: str, where: str, broken: Callable[..., Any], row: int = 0) -> Mutant:
    return Mutant(
        id=f"head.{name}",
        level="models",
        make=lambda backend: backend,
        patch=lambda: mock.patch(where, broken),
        row=row,
    )


_HEAD, _POOL = "lmkernel.model.model.head", "lmkernel.model.head.first_of_each_row"
MUTANTS = (
    _mutant("padding_pooled", _POOL, _left_end, row=11),
    _mutant("last_pooled", _POOL, _last),
    _mutant("all_pooled", _POOL, _summed),
    _mutant("transform_skipped", _HEAD, _other(_untransformed)),
    _mutant("norm_skipped", _HEAD, _other(_unnormalized)),
    _mutant("gelu_approximate", _HEAD, _other(_approximate), row=17),
)
