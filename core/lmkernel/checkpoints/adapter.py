"""LoRA adapters in PEFT's format, read over the tensors of the model that they adapt.

``adapter_config.json`` and ``adapter_model.safetensors``: for each adapted module ``M`` the tensors
``base_model.model.M.lora_A.weight (rank, in)`` and ``….lora_B.weight (out, rank)``, whose product
times alpha / rank is added to the module's weight (arXiv:2106.09685, eq. 3).
"""

from __future__ import annotations

import fnmatch
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.dtypes import to_dtype
from lmkernel.checkpoints.json_files import read_object
from lmkernel.checkpoints.safetensors import SafetensorsFile
from lmkernel.checkpoints.tensors import Tensors
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["ADAPTER_CONFIG", "PREFIX", "AdaptedTensors"]

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_TENSORS = "adapter_model.safetensors"
PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"
_DEFAULTS: Mapping[str, str] = MappingProxyType(
    {"alpha_pattern": "lora_alpha", "rank_pattern": "r"}
)


@final
class AdaptedTensors(Tensors):
    """A model's tensors with the adapters of a folder merged into them as they are read.

    Args:
        base: the model's tensors.
        folder: holds the adapters.

    Raises:
        CheckpointError: the folder holds no LoRA adapters, or ones of another model.
    """

    def __init__(self, base: Tensors, folder: Path) -> None:
        self._base = base
        self._where = folder / ADAPTER_TENSORS
        self._config = read_object(folder / ADAPTER_CONFIG, required=True)
        kind = self._config.get("peft_type")
        if kind != "LORA" or self._config.get("use_dora"):
            raise CheckpointError(
                f"{folder / ADAPTER_CONFIG}: expected peft_type LORA without use_dora, got {kind!r}"
            )
        self._file = SafetensorsFile(self._where)
        self._modules = dict(self._pairs())
        self._scales = {module: self._scale(module) for module in self._modules.values()}

    def names(self) -> tuple[str, ...]:
        """The model's names."""
        return self._base.names()

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape."""
        return self._base.shape(name)

    def dtype(self, name: str) -> str:
        """What is stored of the model; what is merged is float32."""
        return "float32" if name in self._modules else self._base.dtype(name)

    def read(self, name: str, dtype: str | None = None) -> NDArray[Any]:
        """The values; see `Tensors.read`."""
        if name not in self._modules:
            return self._base.read(name, dtype)
        module = self._modules[name]
        a, b = (self._file.read(module + end).astype(np.float64) for end in (_A, _B))
        addition = (b @ a) * self._scales[module]
        weight = self._base.read(name)
        addition = addition.T if self._config.get("fan_in_fan_out") else addition
        return to_dtype((weight + addition).astype(np.float32), dtype, f"{self._where}: {name!r}")

    def _pairs(self) -> list[tuple[str, str]]:
        """(name of a weight, module) of every adapter."""
        pairs = []
        known = set(self._base.names())
        for name in self._file.names():
            module = name.removesuffix(_A).removesuffix(_B)
            weight = f"{module.removeprefix(PREFIX)}.weight"
            other = _B if name.endswith(_A) else _A
            sound = module != name and weight in known and module + other in self._file.names()
            if not sound:
                raise CheckpointError(
                    f"{self._where}: tensor {name!r} is no half of a pair of lora_A and lora_B for "
                    "a weight of the model"
                )
            shape = (self._file.shape(module + _B)[0], self._file.shape(module + _A)[1])
            shape = shape[::-1] if self._config.get("fan_in_fan_out") else shape
            if self._base.shape(weight) != shape:
                raise CheckpointError(
                    f"{self._where}: module {module!r}: expected adapters of a weight "
                    f"{self._base.shape(weight)}, got {shape}"
                )
            pairs.append((weight, module))
        return pairs

    def _scale(self, module: str) -> float:
        alpha, rank = self._number("alpha_pattern", module), self._number("rank_pattern", module)
        there = self._file.shape(module + _A)[0]
        if rank != there:
            raise CheckpointError(
                f"{self._where}: {module!r}: expected the rank {rank}, got {there}"
            )
        return alpha / (rank**0.5 if self._config.get("use_rslora") else rank)

    def _number(self, table: str, module: str) -> float:
        """What a table of name endings says of a module, else what holds for all."""
        default, name = _DEFAULTS[table], module.removeprefix(PREFIX)
        patterns = self._config.get(table) or {}
        fitting = (n for n in patterns if name == n or fnmatch.fnmatch(name, f"*.{n}"))
        value = patterns.get(next(fitting, None), self._config.get(default))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CheckpointError(
                f"{self._where.with_name(ADAPTER_CONFIG)}: expected a number as {default}, "
                f"got {value!r}"
            )
        return value
