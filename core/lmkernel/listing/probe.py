"""Whether a backend works: load it and multiply two small matrices."""

from __future__ import annotations

from lmkernel.errors import LmkernelError
from lmkernel.plugins.guard import describe, plugin_code

__all__ = ["probe"]

LEFT, RIGHT, PRODUCT = [[1, 2], [3, 4]], [[5, 6], [7, 8]], [[19, 22], [43, 50]]


def probe(name: str) -> str:
    """``"ok"``, or in one line why not; whatever the backend raises is the reason."""
    try:
        with plugin_code(f"backend {name!r}", LmkernelError):
            got = _multiply(name)
    except LmkernelError as error:
        return " ".join(describe(error).split())
    return "ok" if got == PRODUCT else f"expected {LEFT} @ {RIGHT} = {PRODUCT}, got {got}"


def _multiply(name: str) -> object:
    from lmkernel.backend import load_backend

    backend = load_backend(name)
    ops = backend.ops
    with backend.scope():
        product = ops.matmul(ops.asarray(LEFT, "float32"), ops.asarray(RIGHT, "float32"))
        return ops.to_numpy(product).tolist()
