"""Broken heads of models: the wrong position pooled, a layer, a factor or a bias left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel.model import Model
from lmkernel.model.head import first_of_each_row, head
from lmkernel_proofs.mutants.mutant import Mutant, Patch

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MUTANTS"]

_own_weight = Model._head_weight  # noqa: SLF001 - what is broken


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


def _no_scale(config: Any) -> Any:
    """Logits are what the product gives."""
    return replace(config, scale=1.0)


def _divided(config: Any) -> Any:
    """Logits are divided by what they are to be multiplied with."""
    return replace(config, scale=1.0 / config.scale)


def _no_softcap(config: Any) -> Any:
    """Logits have no bound."""
    return replace(config, softcap=None)


def _no_bias(ops: Any, x: Any, params: Any, config: Any, weight: Any, **options: Any) -> Any:
    """The bias of a tied product is forgotten, as the embedding has none."""
    kept = {n: p for n, p in params.items() if not (config.tied and n == "bias")}
    return head(ops, x, kept, config, weight, **options)


def _tie(model: Any, params: Any, config: Any) -> Any:
    """The head multiplies by the embedding's table, though it has one of its own."""
    own = (model.target_embedding or model.embedding).weight(model._target_tables(params))  # noqa: SLF001 - a method's
    fits = own.shape == (config.size, config.inner)
    return own if fits else _own_weight(model, params, config)


def _pad_the_mean(ops: Any, x: Any, positions: Any) -> Any:
    """The mean is of all positions, padding too."""
    del positions
    return ops.mean(x, 1)


def _mutant(
    name: str, where: str, broken: Callable[..., Any], row: int = 0, seen: str = ""
) -> Mutant:
    return Mutant(
        id=f"head.{name}",
        level="models",
        patch=Patch(where, broken),
        row=row,
        seen=seen,
    )


_HEAD, _POOL = "lmkernel.model.model.head", "lmkernel.model.head.first_of_each_row"
MUTANTS = (
    _mutant("padding_pooled", _POOL, _left_end, row=11),
    _mutant("last_pooled", _POOL, _last_position),
    _mutant("all_pooled", _POOL, _sum),
    _mutant("transform_skipped", _HEAD, _with_config(_no_transform)),
    _mutant("norm_skipped", _HEAD, _with_config(_no_norm)),
    _mutant("gelu_approximate", _HEAD, _with_config(_tanh_gelu), row=17),
    _mutant("scale_ignored", _HEAD, _with_config(_no_scale)),
    _mutant("scale_inverted", _HEAD, _with_config(_divided)),
    _mutant("softcap_ignored", _HEAD, _with_config(_no_softcap)),
    _mutant("bias_of_tied_ignored", _HEAD, _no_bias, seen="vllm#46835"),
    _mutant("tied", "lmkernel.model.model.Model._head_weight", _tie),
    _mutant("padding_averaged", "lmkernel.model.head.mean_of_each_row", _pad_the_mean, row=11),
)
