"""Broken heads of models: the wrong position pooled, a layer left out."""

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
    """The first position is pooled, padding or not."""
    return first_of_each_row(ops, x, ops.full(positions.shape, 0, "int32"))


def _last_position(ops: Any, x: Any, positions: Any) -> Any:
    """The last position is pooled."""
    del ops, positions
    return x[:, -1]


def _sum(ops: Any, x: Any, positions: Any) -> Any:
    """All positions are added up."""
    del positions
    return ops.sum(x, 1)


def _with_config(change: Callable[[Any], Any]) -> Callable[..., Any]:
    """The right head with another configuration."""

    def wrong_head(ops: Any, x: Any, params: Any, config: Any, weight: Any, **options: Any) -> Any:
        return head(ops, x, params, change(config), weight, **options)

    return wrong_head


def _no_transform(config: Any) -> Any:
    """The dense layer before the output is left out."""
    return replace(config, transform=None)


def _no_norm(config: Any) -> Any:
    """The dense layer is left without its norm."""
    return replace(config, transform=config.transform and replace(config.transform, norm=None))


def _tanh_gelu(config: Any) -> Any:
    """GELU is replaced by its tanh approximation."""
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
    _mutant("last_pooled", _POOL, _last_position),
    _mutant("all_pooled", _POOL, _sum),
    _mutant("transform_skipped", _HEAD, _with_config(_no_transform)),
    _mutant("norm_skipped", _HEAD, _with_config(_no_norm)),
    _mutant("gelu_approximate", _HEAD, _with_config(_tanh_gelu), row=17),
)
