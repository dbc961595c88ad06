"""A model's parameters as its parts declare them, initialized as its family does."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel.config import TransformerConfig
from lmkernel.interfaces import Init, Param, ParamTree
from lmkernel.model.head import declare_head
from lmkernel.model.pair import declare_pair
from lmkernel.parameters.names import flatten, nest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.config import InitConfig, ModelConfig
    from lmkernel.interfaces import Component
    from lmkernel.model.model import Model
    from lmkernel.model.sight import Sight

__all__ = ["declare_parts"]

_RESIDUAL = (("embed", "heads"), ("embed", "mlp"))
"""Axes of the weights whose products are added to the residual stream."""


def declare_parts(
    config: ModelConfig,
    parts: Mapping[str, Component | None],
    pictures: Model | None,
    sight: Sight | None,
) -> dict[str, ParamTree]:
    """The declared parameters of a model, nested by component.

    Args:
        config: of the model.
        parts: its components by name; None for those that it has not.
        pictures: its tower of pictures, if it has one.
        sight: what makes vectors of the pictures that it is shown, if it is shown some.
    """
    tree = {name: part.declare() for name, part in parts.items() if part is not None}
    if config.head is not None:
        tree["head"] = declare_head(config.head)
    tree = _with_initialization(tree, config)
    if config.pair is not None and pictures is not None:
        tree |= {"pictures": pictures.declare(), "pair": declare_pair(config.pair)}
    return tree | sight.declare() if sight is not None else tree


def _with_initialization(
    declared: dict[str, ParamTree], config: ModelConfig
) -> dict[str, ParamTree]:
    """The declared parameters of each part, initialized as ``config.init`` asks.

    Biases and the weights of normalisations keep their zeros and ones.
    """
    if config.init is None:
        return declared
    return {
        name: _initialize_component(tree, getattr(config, name), config.init)
        for name, tree in declared.items()
    }


def _initialize_component(tree: ParamTree, config: Any, init: InitConfig) -> ParamTree:
    # 2 sums a layer add up to a variance of 2·layers; dividing by the root keeps the stream at 1
    layers = config.layers if isinstance(config, TransformerConfig) else 0
    depth = math.sqrt(2 * layers) if layers and init.residual else 1.0
    return nest(
        tree, {name: _initialize(param, init, depth) for name, param in flatten(tree).items()}
    )


def _initialize(param: Param, init: InitConfig, depth: float) -> Param:
    if param.init.kind in ("zeros", "ones"):
        return param
    scale = init.scale / depth if param.axes in _RESIDUAL else init.scale
    return replace(param, init=Init("normal", scale))
