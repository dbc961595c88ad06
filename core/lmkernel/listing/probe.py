"""Whether a backend works: load it and multiply two small matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmkernel.plugins import Registry

__all__ = ["probe"]

LEFT, RIGHT, PRODUCT = [[1, 2], [3, 4]], [[5, 6], [7, 8]], [[19, 22], [43, 50]]


def probe(name: str, registry: Registry) -> str:
    """``"ok"``, or in one line why not; whatever the backend raises is the reason."""
    try:
        got = _multiply(name, registry)
    except Exception as error:  # noqa: BLE001 - a backend's fault is the answer here
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return "ok" if got == PRODUCT else f"expected {LEFT} @ {RIGHT} = {PRODUCT}, got {got}"


def _multiply(name: str, registry: Registry) -> object:
    from lmkernel.backend import load_backend

    backend = load_backend(name, registry=registry)
    ops = backend.ops
    with backend.scope():
        product = ops.matmul(ops.asarray(LEFT, "float32"), ops.asarray(RIGHT, "float32"))
        return ops.to_numpy(product).tolist()
