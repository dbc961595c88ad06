"""What optimizers read of their configuration beyond its fields."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.config.check import require

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lmkernel.training.config import OptimizerConfig

__all__ = ["USUAL", "known_options"]

USUAL: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "sgd": MappingProxyType({"momentum": 0.9}),
        "adam": MappingProxyType({}),
        "adamw": MappingProxyType({"weight_decay": 0.01}),
        "adafactor": MappingProxyType({"eps": 1e-7}),
        "lion": MappingProxyType({"beta2": 0.99}),
        "muon": MappingProxyType({"momentum": 0.95, "nesterov": True, "weight_decay": 0.1}),
    }
)
"""Fields of an `OptimizerConfig` whose usual value for a kind is another than the field's own."""


def known_options(config: OptimizerConfig, known: Collection[str] = ()) -> Mapping[str, Any]:
    """The free options; raises `ConfigError` where there is one that the kind does not know."""
    expected = "names among " + ", ".join(known) if known else "none"
    require(config, "options", expected, ok=set(config.options) <= set(known))
    return config.options
