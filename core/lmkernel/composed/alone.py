"""The tier of distribution on one process: everything is whole already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.contract.distribution import Distribution, Mesh, Processes, Spec

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["Alone"]


@final
class Alone(Distribution):
    """One process.

    Args:
        ops: the backend's operations.
    """

    def __init__(self, ops: Ops) -> None:
        super().__init__(Mesh(), Processes())
        self._ops = ops

    @property
    def looks_whole(self) -> bool:
        return True

    def place(self, value: Any, dtype: DType, spec: Spec) -> Array:
        del spec
        return self._ops.asarray(value, dtype)

    def constrain(self, x: Array, spec: Spec, wanted: Spec) -> Array:
        del spec, wanted
        return x

    def total(self, xs: Sequence[Array], specs: Sequence[Spec]) -> list[Array]:
        del specs
        return list(xs)

    def norm(self, xs: Sequence[Array], specs: Sequence[Spec]) -> Array:
        del specs
        return self._ops.global_norm(xs)

    def gather(self, x: Array, spec: Spec) -> np.ndarray[Any, Any]:
        del spec
        return self._ops.to_numpy(x)

    def exchange(self, data: bytes) -> list[bytes]:
        return [data]

    def is_loss(self, error: Exception) -> bool:
        del error
        return False

    def close(self, code: int = 0) -> None:
        del code
