"""Creates the ONNX Runtime backend."""

from __future__ import annotations

import functools

import numpy as np

from lmkernel.backend import BackendParts, require_present
from lmkernel_onnx.ops import OnnxOps
from lmkernel_onnx.overrides import overrides

__all__ = ["create"]


def create(device: str) -> BackendParts:
    """Create the parts of the backend on ``device``, which is ``"cpu"``.

    Raises:
        CapabilityError: the device is not there.
    """
    require_present("onnx", device, ("cpu",), lambda _: 1)
    # operators of host arrays are NumPy's own, whose warnings are the contract's infinities
    quiet = functools.partial(np.errstate, all="ignore")
    mandatory = OnnxOps()
    return BackendParts(mandatory=mandatory, overrides=overrides(mandatory), scope=quiet)
