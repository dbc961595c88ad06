"""Creates the NumPy backend."""

from __future__ import annotations

from lmkernel.backend import BackendParts, require_present
from lmkernel.composed import assemble
from lmkernel_numpy.ops import NumpyOps
from lmkernel_numpy.overrides import overrides

__all__ = ["create"]


def create(device: str) -> BackendParts:
    """The parts of the backend; the only device is the CPU.

    Raises:
        CapabilityError: it is another device.
    """
    require_present("numpy", device, ("cpu",), lambda _: 1)
    mandatory = NumpyOps()
    return BackendParts(mandatory=mandatory, overrides=overrides(assemble(mandatory, {})))
