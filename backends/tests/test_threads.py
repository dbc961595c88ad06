"""Threads that share a backend: what one computes does not hang on what another does."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.backend import load_backend

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.backend import Backend

_PATIENCE = 60
"""Seconds that a test waits for a thread that is lost."""


def gated(backend: Backend) -> NDArray[Any]:
    """A network's gate and a norm, which backends compute in ways of their own."""
    rows = np.random.default_rng(1).standard_normal((64, 96)).astype(np.float32)
    with backend:
        x = backend.ops.asarray(rows, "float32")
        weight = backend.ops.asarray(rows[0, :48], "float32")
        return backend.ops.to_numpy(backend.ops.rms_norm(backend.ops.swiglu(x), weight, 1e-6))


def test_a_gradient_in_another_thread_changes_nothing() -> None:
    backend = load_backend()
    alone = gated(backend)
    inside, done = threading.Event(), threading.Event()

    def loss(x: Any) -> Any:
        inside.set()
        assert done.wait(_PATIENCE)
        return backend.ops.sum(x * x, 0)

    def differentiate() -> None:
        with backend:
            ops = backend.ops
            ops.value_and_grad(loss)(ops.asarray([1.0, 2.0], "float32"))

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(differentiate)
        assert inside.wait(_PATIENCE)
        try:
            beside = gated(backend)
        finally:
            done.set()
        other.result(_PATIENCE)
    np.testing.assert_array_equal(beside, alone)
