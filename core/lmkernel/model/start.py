"""How a family starts its weights, laid over how the components would by themselves."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel.config import TransformerConfig
from lmkernel.interfaces import Init, Param, ParamTree
from lmkernel.parameters.names import flatten, nest

if TYPE_CHECKING:
    from lmkernel.config import InitConfig, ModelConfig

__all__ = ["started"]

_BACK = (("embed", "heads"), ("embed", "mlp"))
"""Axes of the weights that lead from inside a layer back to the stream."""


def started(declared: dict[str, ParamTree], config: ModelConfig) -> dict[str, ParamTree]:
    """The declared parameters, by part, with the starts that ``config.init`` asks for."""
    if config.init is None:
        return declared
    return {
        name: _part(tree, getattr(config, name), config.init) for name, tree in declared.items()
    }


def _part(tree: ParamTree, config: Any, init: InitConfig) -> ParamTree:
    layers = config.layers if isinstance(config, TransformerConfig) else 0
    depth = math.sqrt(2 * layers) if layers and init.residual else 1.0
    return nest(tree, {name: _param(param, init, depth) for name, param in flatten(tree).items()})


def _param(param: Param, init: InitConfig, depth: float) -> Param:
    if param.init.kind in ("zeros", "ones"):
        return param
    scale = init.scale / depth if param.axes in _BACK else init.scale
    return replace(param, init=Init("normal", scale))
