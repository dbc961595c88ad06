"""The formats of bitsandbytes: 8 bits (arXiv:2208.07339), nf4 and fp4 (arXiv:2305.14314)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.coded import Coded
from lmkernel.checkpoints.methods.method import Method, require_fit, rows_of
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["BitsAndBytes"]


@final
class BitsAndBytes(Method):
    """8 bits: ``weight`` and ``SCB``. 4 bits: ``weight``, ``weight.absmax``, tables, a state."""

    markers = ("weight",)
    beside = (
        *("SCB", "weight_format", "weight.absmax", "weight.quant_map"),
        *("weight.nested_absmax", "weight.nested_quant_map", "weight.quant_state.*"),
    )

    def shape(self, module: str) -> tuple[int, int]:
        """``(out, in)``."""
        if f"{module}.SCB" in self.names:
            out, width = self.tensors.shape(f"{module}.weight")
        else:
            out, width = self._state(module)["shape"]
        return int(out), int(width)

    def read(self, module: str) -> Coded:
        """A row's largest is 127; a block's largest is 1, and its first code the upper half."""
        if f"{module}.SCB" in self.names:
            codes = self.part(module, "weight").view(np.uint8) ^ np.uint8(128)
            return require_fit(
                Coded("int8_127", codes, rows_of(self.floats(module, "SCB"), len(codes))), module
            )
        state, (out, width) = self._state(module), self.shape(module)
        stored = self.part(module, "weight").reshape(-1)
        codes = np.stack([stored >> np.uint8(4), stored & np.uint8(15)], -1).reshape(-1)
        largest = self._largest(module, state)
        size = int(state["blocksize"])
        if width % size:  # blocks end within rows, so each number gets its scale
            largest = np.repeat(largest, size)[: out * width]
        kind = str(state["quant_type"])
        codes = codes[: out * width].reshape(out, width)
        return require_fit(Coded(kind, codes, largest.reshape(out, -1)), module)

    def _largest(self, module: str, state: Mapping[str, Any]) -> NDArray[np.float32]:
        """Of each block, in numbers, or in codes of 8 bits with a mean and sizes of their own."""
        found = self.part(module, "weight.absmax")
        if found.dtype != np.uint8:
            return found.astype(np.float32)
        table = self.floats(module, "weight.nested_quant_map")
        sizes = self.floats(module, "weight.nested_absmax")
        blocks = np.repeat(sizes, int(state["nested_blocksize"]))[: found.size]
        whole: NDArray[np.float32] = table[found] * blocks + np.float32(state["nested_offset"])
        return whole

    def _state(self, module: str) -> dict[str, Any]:
        start = f"{module}.weight.quant_state."
        name = next((name for name in self.names if name.startswith(start)), None)
        if name is None:
            raise CheckpointError(f"the tensor '{start}…' is missing")
        try:
            state: dict[str, Any] = json.loads(self.tensors.read(name).tobytes())
            sizes = [int(n) for n in (*state["shape"], state["blocksize"])]
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointError(f"tensor {name!r}: expected a state in JSON: {error}") from error
        if len(sizes) != 3 or min(sizes) < 1 or state.get("quant_type") not in ("nf4", "fp4"):  # noqa: PLR2004 - out, in, block
            raise CheckpointError(f"tensor {name!r}: expected a matrix of nf4 or fp4, got {state}")
        return state
