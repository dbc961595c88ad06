"""LoRA adapters read over the tensors of the model that they adapt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.adapter_files import PREFIX
from lmkernel.checkpoints.dtypes import to_dtype
from lmkernel.checkpoints.tensors import Tensors
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.checkpoints.adapter_files import AdapterFiles
    from lmkernel.contract.blocks import Blocks

__all__ = ["AdaptedTensors"]

_WEIGHT = ".weight"


@final
class AdaptedTensors(Tensors):
    """A model's tensors with adapters merged into them as they are read.

    Args:
        base: the model's tensors.
        adapters: from a folder.

    Raises:
        CheckpointError: they are of another model.
    """

    def __init__(self, base: Tensors, adapters: AdapterFiles) -> None:
        self._base, self._adapters = base, adapters
        self._modules = self._weights()

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
        addition = self._adapters.addition(self._modules[name])
        addition = addition.T if self._adapters.transposed else addition
        whole = (self._base.read(name) + addition).astype(np.float32)
        return to_dtype(whole, dtype, f"{self._adapters.where}: {name!r}")

    def blocks(self, name: str) -> Blocks | None:
        """What is stored, of weights that no adapter changes."""
        return None if name in self._modules else self._base.blocks(name)

    def _weights(self) -> dict[str, str]:
        """The module of each weight that is adapted.

        A checkpoint of the bare model leaves out the first part of the names (``model``,
        ``transformer``), and so do adapters of a bare model.
        """
        known = self._base.names()
        # the full name goes before the short one, where both are there
        short = {name.partition(".")[2]: name for name in known} | {name: name for name in known}
        found = {}
        for module, shape in self._adapters.shapes.items():
            full = module + _WEIGHT
            name = short.get(full) or short.get(full.partition(".")[2])
            if name is None:
                raise self._adapters.refuse(f"{PREFIX}{module}.lora_A.weight")
            wanted = shape[::-1] if self._adapters.transposed else shape
            if self._base.shape(name) != wanted:
                raise CheckpointError(
                    f"{self._adapters.where}: module {module!r}: expected adapters of a weight "
                    f"{self._base.shape(name)}, got {wanted}"
                )
            found[name] = module
        return found
