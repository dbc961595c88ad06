"""Creates the PaddlePaddle backend."""

from __future__ import annotations

import paddle

from lmkernel.backend import BackendParts, require_present
from lmkernel_paddle.ops import PaddleOps
from lmkernel_paddle.overrides import overrides

__all__ = ["create"]


def create(device: str) -> BackendParts:
    """Create the parts of the backend on ``device``, which is ``"cpu"``.

    Raises:
        CapabilityError: the device is not there.
    """
    require_present("paddle", device, ("cpu",), lambda _: 1)
    return BackendParts(
        mandatory=PaddleOps(paddle.CPUPlace()), overrides=overrides(), inference=paddle.no_grad
    )
