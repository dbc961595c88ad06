"""Creates the NumPy backend."""

from __future__ import annotations

from lmkernel.backend import BackendParts
from lmkernel_numpy.ops import NumpyOps

__all__ = ["create"]


def create(device: str) -> BackendParts:
    """The parts of the backend; the only device is the CPU."""
    del device
    return BackendParts(mandatory=NumpyOps())
