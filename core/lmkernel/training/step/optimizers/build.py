"""Finds an optimizer by the name of its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.interfaces import Factory, Param
    from lmkernel.training.config import OptimizerConfig
    from lmkernel.training.step.optimizers.optimizer import Optimizer

__all__ = ["build_optimizer"]


def build_optimizer(
    factory: Factory, config: OptimizerConfig, declared: Mapping[str, Param]
) -> Optimizer:
    """The optimizer of ``config.kind`` for parameters declared by dotted name.

    Raises:
        UnknownNameError: no plugin registers the kind.
        ConfigError: the configuration asks for what the kind cannot do.
    """
    from lmkernel.plugins import OptimizerSpec, default_registry

    spec = (factory.registry or default_registry()).get(OptimizerSpec, config.kind)
    built: Optimizer = spec.resolve().build(factory.ops, config, declared)
    return built
