"""Processor time and memory of one-row products with few bits, beside float32 in the same run.

``python benchmarks/few_bits.py numpy torch`` prints a table of ratios: each figure is that of all
products of ten layers at SmolLM2-135M's shapes, the least of several repeats.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.backend import load_backend
from lmkernel.parameters.quantising import Scheme, quantise
from lmkernel.results import columns

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPES = ((960, 576), (576, 576), (3072, 576), (576, 1536))
"""Queries, keys and values; output; gate and up; down."""
SCHEMES = (Scheme(8), Scheme(8, 32), Scheme(4, 32), Scheme(4, 64))
LAYERS, REPEATS = 10, 9
"""So many layers do not fit a processor's caches, as those of a model do not."""


def least_time(work: Callable[[], object]) -> float:
    """Processor time of the quickest of several repeats, in seconds."""
    work()
    found = []
    for _ in range(REPEATS):
        begin = time.process_time()
        work()
        found.append(time.process_time() - begin)
    return min(found)


def measure(name: str) -> list[list[str]]:
    """A row for each scheme: time and bytes as shares of float32's."""
    backend = load_backend(name)
    ops, random = backend.ops, np.random.default_rng(0)
    shapes = SHAPES * LAYERS
    hosts = [random.normal(size=shape).astype(np.float32) for shape in shapes]
    with backend.scope(), backend.inference():
        rows = [ops.asarray(random.normal(size=(1, shape[1])), "float32") for shape in shapes]
        product = ops.compile(
            lambda xs, weights: [ops.linear(*pair) for pair in zip(xs, weights, strict=True)]
        )

        def time_of(handles: list[Any]) -> float:
            return least_time(lambda: [ops.to_numpy(y) for y in product(rows, handles)])

        plain = time_of([ops.pack_linear(ops.asarray(host, "float32")) for host in hosts])
        found = []
        for scheme in SCHEMES:
            blocks = [quantise(host, scheme, "weight")[0] for host in hosts]
            took = time_of([ops.pack_blocks(one, "float32") for one in blocks])
            size = sum(one.nbytes for one in blocks) / sum(host.nbytes for host in hosts)
            found.append([name, scheme.name, f"{took / plain:.2f}", f"{size:.2f}"])
    return found


def main() -> None:
    """Print the table."""
    names = sys.argv[1:] or ["numpy"]
    table = [["BACKEND", "WEIGHTS", "TIME", "BYTES"]]
    print(columns([*table, *(row for name in names for row in measure(name))]))  # noqa: T201 - a script


if __name__ == "__main__":
    main()
