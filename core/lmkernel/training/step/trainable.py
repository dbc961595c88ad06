"""Which parameters are trained: all of a model's, or low-rank adapters beside them (LoRA)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.contract.capabilities import FLOATING
from lmkernel.errors import ConfigError
from lmkernel.interfaces import Init, Param
from lmkernel.parameters import flatten, initial_values, nest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import ParamTree
    from lmkernel.model import Model
    from lmkernel.training.config import LoraConfig

__all__ = ["Adapters", "Parts"]

Values = dict[str, "NDArray[Any]"]

A, B = "lora_a", "lora_b"


@final
class Adapters:
    """The adapters of one model: ``NAME.lora_a (rank, in)`` and ``NAME.lora_b (out, rank)``.

    W + (alpha / rank)·B·A beside a frozen W (arXiv:2106.09685). A starts uniform and B at zero, so
    that a run starts from the model as it was.

    Args:
        declared: the model's parameters.
        config: which linear layers are adapted, and how.

    Raises:
        ConfigError: no linear layer of a stack has one of the names.
    """

    def __init__(self, declared: ParamTree, config: LoraConfig) -> None:
        self._config = config
        flat: dict[str, Param] = flatten(declared)
        inside = {n: p for n, p in flat.items() if p.linear and ".layers." in n}
        layers = {n.removesuffix(".weight"): p for n, p in inside.items()}
        wanted = config.targets or {name.split(".")[-1] for name in layers}
        self._layers = {n: p for n, p in layers.items() if n.split(".")[-1] in wanted}
        missing = set(config.targets) - {name.split(".")[-1] for name in self._layers}
        if not self._layers or missing:
            there = sorted({name.split(".")[-1] for name in layers})
            raise ConfigError(
                f"LoraConfig.targets: expected names among {', '.join(there)}, "
                f"got {', '.join(sorted(missing))}"
            )

    def declare(self) -> dict[str, Param]:
        """The parameters of the adapters, flat."""
        rank = self._config.rank
        declared = {}
        for name, param in self._layers.items():
            out, into = param.shape
            start = Init("uniform", 1 / math.sqrt(into))
            declared[f"{name}.{A}"] = Param((rank, into), start, ("rank", param.axes[1]))
            declared[f"{name}.{B}"] = Param((out, rank), Init("zeros"), (param.axes[0], "rank"))
        return declared

    def initial(self, seed: int) -> dict[str, NDArray[np.float32]]:
        """Their values before the first step."""
        return initial_values(self.declare(), seed)

    def insert(self, ops: Ops, params: Tree, adapters: Mapping[str, Array]) -> None:
        """Put each adapter, scaled, as ``delta`` beside the weight of its layer in ``params``."""
        for name in self._layers:
            layer = params
            for part in name.split("."):
                layer = layer[int(part)] if isinstance(layer, list) else layer[part]
            b = adapters[f"{name}.{B}"]
            layer["delta"] = (adapters[f"{name}.{A}"], b * ops.full((), self._scale, ops.dtype(b)))

    def merge(
        self, values: Mapping[str, NDArray[Any]], adapters: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        """Host weights with the adapters added to them."""
        merged = dict(values)
        for name in self._layers:
            a, b = adapters[f"{name}.{A}"], adapters[f"{name}.{B}"]
            addition = (b.astype(np.float64) @ a.astype(np.float64)) * self._scale
            weight = values[f"{name}.weight"]
            merged[f"{name}.weight"] = (weight + addition).astype(weight.dtype)
        return merged

    @property
    def _scale(self) -> float:
        return self._config.alpha / self._config.rank


@final
class Parts:
    """All parameters are trained; or, with adapters, none of them, but the adapters are.

    Args:
        model: whose parameters they are.
        lora: the adapters, or None.
        seed: of the adapters' first values.
    """

    def __init__(self, model: Model, lora: LoraConfig | None, seed: int) -> None:
        self._model = model
        self._seed = seed
        self._declared = model.declare()
        self._adapters = Adapters(self._declared, lora) if lora else None

    def declare(self) -> dict[str, Param]:
        """What is trained, flat."""
        return self._adapters.declare() if self._adapters else flatten(self._declared)

    def split(self, values: Mapping[str, NDArray[Any]]) -> tuple[Values, Values]:
        """(trainable, frozen) host values before the first step."""
        if self._adapters is None:
            return dict(values), {}
        return dict(self._adapters.initial(self._seed)), dict(values)

    def join(self, trainable: Mapping[str, Array], frozen: Mapping[str, Array]) -> Tree:
        """The model's nested parameters in its compute dtype; pure, gradients flow through."""
        ops, dtype = self._model.backend.ops, self._model.policy.compute
        narrow = {
            name: x
            if ops.dtype(x) == dtype or ops.dtype(x) not in FLOATING
            else ops.astype(x, dtype)
            for name, x in (*frozen.items(), *trainable.items())
        }
        params = nest(self._declared, narrow)
        if self._adapters is not None:
            self._adapters.insert(ops, params, narrow)
        return params

    def merge(
        self, trainable: Mapping[str, NDArray[Any]], frozen: Mapping[str, NDArray[Any]]
    ) -> Values:
        """The host values of the whole model, adapters merged into its weights."""
        if self._adapters is None:
            return dict(trainable)
        return self._adapters.merge(frozen, trainable)
