"""What a machine can do: how fast it reads memory and multiplies, and how busy others keep it."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Self, final

import numpy as np

from lmkernel.machine import usable_processors

if TYPE_CHECKING:
    from lmkernel.backend import Backend

__all__ = ["Others", "product_rate", "read_rate"]

_BYTES = 1 << 28
"""What is read: beyond the caches of any processor."""
_SIDE = 1024
"""The rows and columns of the matrices that are multiplied."""
_TIMES = 5
_STAT = Path("/proc/stat")
_IDLE, _WAITING, _FIELDS = 3, 4, 8
"""Of the times of ``/proc/stat``, user to steal; a guest's are counted in user already."""


def read_rate() -> float:
    """Bytes a second that all processors read from memory together, the best of some times.

    A dot product of numbers with themselves reads each once and keeps nothing.
    """
    count = usable_processors() or 1
    parts = np.array_split(np.ones(_BYTES // 4, np.float32), count)
    with ThreadPoolExecutor(count) as pool:
        seconds = []
        for _ in range(_TIMES):
            begin = time.perf_counter()
            list(pool.map(lambda part: np.dot(part, part), parts))
            seconds.append(time.perf_counter() - begin)
    return _BYTES / min(seconds)


def product_rate(backend: Backend) -> float:
    """Floating-point operations a second of a backend's product in float32, the best of some times.

    A product of n×n matrices takes 2·n³ of them.
    """
    ops = backend.ops
    square = np.random.default_rng(0).standard_normal((_SIDE, _SIDE), np.float32)
    with backend.scope(), backend.inference():
        x = ops.asarray(square, "float32")
        multiply = ops.compile(ops.matmul)
        seconds = []
        for _ in range(_TIMES + 1):  # the first compiles
            begin = time.perf_counter()
            ops.to_numpy(multiply(x, x))
            seconds.append(time.perf_counter() - begin)
    return 2 * _SIDE**3 / min(seconds)


@final
class Others:
    """The share of all processors' time that other programs take, while it is entered.

    Where a system does not tell, `share` is None.
    """

    share: float | None = None

    def __enter__(self) -> Self:
        self._busy, self._own, self._begin = _busy_seconds(), time.process_time(), time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        busy = _busy_seconds()
        if busy is None or self._busy is None:
            return
        own = time.process_time() - self._own
        whole = (time.monotonic() - self._begin) * (os.cpu_count() or 1)
        self.share = min(max((busy - self._busy - own) / whole, 0.0), 1.0)


def _busy_seconds() -> float | None:
    """Seconds that processors have worked since the system began."""
    if not _STAT.exists():
        return None
    times = [int(one) for one in _STAT.read_text("ascii").split("\n", 1)[0].split()[1:][:_FIELDS]]
    working = sum(times) - times[_IDLE] - times[_WAITING]
    return working / float(os.sysconf("SC_CLK_TCK"))
