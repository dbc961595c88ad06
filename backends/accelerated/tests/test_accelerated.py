"""The compiled products of the NumPy backend beside its composition; Numba is installed here."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.composed import assemble
from lmkernel.parameters.quantising import Scheme, quantise
from lmkernel_numpy.accelerated import accelerated

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.contract.blocks import Blocks

SCHEMES = [Scheme(8), Scheme(8, 32), Scheme(4), Scheme(4, 32), Scheme(4, 128)]


def made(scheme: Scheme, out: int = 37, width: int = 256) -> Blocks:
    weight = np.random.default_rng(scheme.bits).normal(size=(out, width)).astype(np.float32)
    return quantise(weight, scheme, "w")[0]


def inputs(*rows: int, width: int = 256) -> np.ndarray:
    return np.random.default_rng(len(rows)).normal(size=(*rows, width)).astype(np.float32)


@pytest.mark.parametrize("rows", [(1,), (2, 2), (1, 9)])
@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: s.name)
def test_products_are_within_the_error_of_their_sums(scheme: Scheme, rows: tuple[int, ...]) -> None:
    """One row, a few, and more than are multiplied as codes."""
    ops, x = load_backend("numpy").ops, inputs(*rows)
    handle, bias = ops.pack_blocks(made(scheme), "float32"), np.arange(37, dtype=np.float32)
    numbers = np.asarray(ops.unpack_linear(handle), np.float64)
    found = ops.linear(x, handle, bias)
    # n products and groups of scales: n + 2 roundings of the sum of sizes (Higham, eq. 3.5)
    sizes = np.abs(x) @ np.abs(numbers).T + bias
    assert (np.abs(found - (x @ numbers.T + bias)) <= 260 * 2.0**-24 * sizes).all()
    delta = (inputs(3), np.ones((37, 3), np.float32))
    more = ops.linear(x, handle, bias, delta) - found
    np.testing.assert_allclose(more, (x @ delta[0].T) @ delta[1].T, atol=2e-3)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: s.name)
def test_numbers_and_rows_are_the_composition_s(scheme: Scheme) -> None:
    ops = load_backend("numpy").ops
    plain = assemble(ops, {})
    blocks, rows = made(scheme), np.array([[3, 36]], np.int32)
    own, other = (o.pack_blocks(blocks, "float32") for o in (ops, plain))
    np.testing.assert_array_equal(ops.unpack_linear(own), plain.unpack_linear(other))
    np.testing.assert_array_equal(ops.take_rows(own, rows), plain.take_rows(other, rows))
    [words, *_], [same, *_] = *own.values(), *other.values()
    assert words.nbytes == same.nbytes


def test_a_large_weight_is_shared_out_to_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    ops = load_backend("numpy").ops
    handle = ops.pack_blocks(made(Scheme(8), 601), "float32")
    found = {}
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found[threads] = ops.linear(inputs(1), handle)
    np.testing.assert_array_equal(found["1"], found["2"])
    np.testing.assert_array_equal(found["1"], found["3"])


def test_threads_of_a_program_may_call_it_together() -> None:
    ops = load_backend("numpy").ops
    handle, x = ops.pack_blocks(made(Scheme(4, 32), 601), "float32"), inputs(1)
    expected = ops.linear(x, handle)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: ops.linear(x, handle), range(40)):
            np.testing.assert_array_equal(found, expected)


def test_gradients_flow_through_the_composition() -> None:
    ops = load_backend("numpy").ops
    handle = ops.pack_blocks(made(Scheme(8)), "float32")
    total = lambda x: ops.sum(ops.sum(ops.linear(x, handle), 1), 0)  # noqa: E731 - one expression
    _, gradient = ops.value_and_grad(total)(inputs(2))
    expected = np.asarray(ops.unpack_linear(handle)).sum(0)
    np.testing.assert_allclose(gradient, np.stack([expected] * 2), atol=1e-4)


def test_other_kinds_and_dtypes_are_left_to_the_composition() -> None:
    ops = load_backend("numpy").ops
    asymmetric = made(Scheme(4, 32, symmetric=False))
    assert type(ops.pack_blocks(asymmetric, "float32")) is dict
    assert type(ops.pack_blocks(made(Scheme(8)), "float64")) is dict
    assert type(ops.pack_blocks(replace(made(Scheme(8)), kind="e4m3"), "float32")) is dict


def test_nothing_changes_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    ops = load_backend("numpy").ops
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert accelerated(assemble(ops, {}), {"linear": ops.linear}) == {}


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    code = (
        "from lmkernel_numpy.kernels import int4, int8\n"
        "print(sum(sum(f.stats.cache_misses.values()) for f in (int4, int8)))"
    )
    found = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(int(done.stdout))
    assert found == [2, 0]
