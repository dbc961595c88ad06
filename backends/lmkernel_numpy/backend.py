"""Creates the NumPy backend."""

from __future__ import annotations

from lmkernel.backend import BackendParts
from lmkernel.composed import assemble
from lmkernel_numpy.ops import NumpyOps
from lmkernel_numpy.overrides import overrides

__all__ = ["create"]


def create(device: str) -> BackendParts:
    """The parts of the backend; the only device is the CPU."""
    del device
    mandatory = NumpyOps()
    return BackendParts(mandatory=mandatory, overrides=overrides(assemble(mandatory, {})))
