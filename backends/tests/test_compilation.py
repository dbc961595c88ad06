"""Compiling: once for each shape, whatever holds the arrays, with the same values and gradients."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel.backend import Backend, load_backend
from lmkernel.composed import assemble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.contract.mandatory import Array, Tree


@pytest.fixture
def backend() -> Iterator[Backend]:
    loaded = load_backend()
    with loaded.scope():
        yield loaded


def _host(*shape: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(11)).normal(size=shape)


def test_compiles_once_for_each_shape_and_static_argument(backend: Backend) -> None:
    ops, traced = backend.ops, []

    def f(tree: Tree, start: Array, power: int) -> Tree:
        traced.append(power)
        y = tree["layers"][0]["x"] + tree["layers"][1]["x"]
        return {"y": (y * start if power == 1 else y * y * start, tree["kept"])}

    g = ops.compile(f, static=(2,))

    def call(size: int, start: int, power: int) -> list[float]:
        layers = [{"x": ops.full((size,), n, "float32")} for n in (1.0, 2.0)]
        tree = {"layers": layers, "kept": ops.full((), 7, "int32")}
        y, kept = g(tree, ops.asarray(float(start), "float32"), power)["y"]
        assert int(kept) == 7
        return ops.to_numpy(y).tolist()  # type: ignore[no-any-return]  # NumPy's own type

    for start in range(1, 5):
        assert call(2, start, 1) == [3 * start] * 2
    assert len(traced) == (1 if backend.capabilities.compiled else 4)
    assert call(3, 2, 1) == [6, 6, 6]
    assert call(3, 2, 2) == [18, 18, 18]
    assert call(2, 5, 1) == [15, 15]
    assert len(traced) == (3 if backend.capabilities.compiled else 7)


def test_mappings_in_another_order_are_paired_by_name(backend: Backend) -> None:
    ops = backend.ops
    f = ops.compile(lambda t: {"difference": t["a"] - t["b"]})
    one, two = ops.full((2,), 1.0, "float32"), ops.full((2,), 2.0, "float32")
    for tree in ({"a": one, "b": two}, {"b": two, "a": one}):
        assert ops.to_numpy(f(tree)["difference"]).tolist() == [-1, -1]


def test_compiled_inside_compiled(backend: Backend) -> None:
    ops = backend.ops
    inner = ops.compile(lambda x: x * x)
    outer = ops.compile(lambda x: inner(x) + x)
    assert float(outer(ops.asarray(3.0, "float32"))) == 12


def test_gradient_through_a_compiled_function(backend: Backend) -> None:
    ops = backend.ops
    f = ops.compile(lambda t: ops.sum(t["x"] * t["x"], 0))
    value, gradient = ops.value_and_grad(f)({"x": ops.asarray([1.0, -2.0], "float32")})
    assert float(value) == 5
    assert ops.to_numpy(gradient["x"]).tolist() == [2, -4]


def test_compiles_in_two_threads(backend: Backend) -> None:
    ops = backend.ops
    f = ops.compile(ops.matmul)

    def run(size: int) -> float:
        with backend.scope():
            ones = ops.full((size, size), 1.0, "float32")
            return float(ops.to_numpy(f(ones, ones)).sum())

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, [3, 4, 3, 4, 5])) == [27, 64, 27, 64, 125]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("compiled", [False, True])
def test_gradient_of_a_cache_update(backend: Backend, axis: int, *, compiled: bool) -> None:
    """What was overwritten has none; what was written has what reached its slots."""
    ops, start = backend.ops, 1
    buffer, probe = _host(2, 4, 3, 5)
    values = np.take(_host(4, 3, 5), [0, 1], axis) + 3
    slots = [slice(None)] * 3
    slots[axis] = slice(start, start + 2)
    window = tuple(slots)

    def f(tree: Tree, probe: Array, start: Array) -> Array:
        new = ops.cache_update(tree["buffer"] * tree["buffer"], tree["values"], start, axis)
        return ops.sum(ops.reshape(new * probe, (-1,)), 0)

    g: Any = ops.value_and_grad(f)
    tree = {"buffer": ops.asarray(buffer, "float64"), "values": ops.asarray(values, "float64")}
    rest = (ops.asarray(probe, "float64"), ops.asarray(start, "int32"))
    value, gradient = (ops.compile(g) if compiled else g)(tree, *rest)
    new = buffer * buffer
    new[window] = values
    np.testing.assert_allclose(float(value), np.sum(new * probe), rtol=1e-12)
    np.testing.assert_allclose(ops.to_numpy(gradient["values"]), probe[window], rtol=1e-12)
    rest_of_probe = probe.copy()
    rest_of_probe[window] = 0
    expected = 2 * buffer * rest_of_probe
    np.testing.assert_allclose(ops.to_numpy(gradient["buffer"]), expected, rtol=1e-12)


def test_cache_of_integers_is_updated_when_compiled(backend: Backend) -> None:
    ops = backend.ops
    f = ops.compile(lambda b, v, s: ops.cache_update(b, v, s, 1), donate=(0,))
    buffer = ops.full((1, 4), -1, "int32")
    for slot in (2, 0):
        buffer = f(buffer, ops.full((1, 1), slot, "int32"), ops.asarray(slot, "int32"))
    assert ops.to_numpy(buffer).tolist() == [[0, -1, 2, -1]]


@pytest.mark.parametrize("reverse", [False, True])
def test_compiled_loop_and_its_gradient(backend: Backend, *, reverse: bool) -> None:
    """Σ of all h with h' = w·h + x: the loop that is compiled agrees with the one that is not."""
    ops = backend.ops

    def f(tree: Tree, flags: Array) -> Array:
        def step(h: Array, now: Tree) -> tuple[Array, Array]:
            h = ops.where(now["use"], tree["w"] * h + now["x"], h)
            return h, h

        _, hs = ops.scan(step, tree["h"], {"x": tree["x"], "use": flags}, reverse=reverse)
        return ops.sum(ops.reshape(hs, (-1,)), 0)

    g: Any = ops.value_and_grad(f)
    hosts = {"w": _host(3), "h": _host(3) + 1, "x": _host(5, 3)}
    tree = {name: ops.asarray(x, "float64") for name, x in hosts.items()}
    flags = ops.asarray([[True], [False], [True], [True], [False]], "bool")
    value, gradient = g(tree, flags)
    compiled_value, compiled_gradient = ops.compile(g)(tree, flags)
    np.testing.assert_allclose(float(compiled_value), float(value), rtol=1e-12)
    for name in hosts:
        got, expected = (ops.to_numpy(x[name]) for x in (compiled_gradient, gradient))
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_compiled_random_numbers_are_the_same(backend: Backend) -> None:
    ops = backend.ops
    draw = lambda key: ops.random_uniform(key, (4, 3), "float32")  # noqa: E731 - one expression
    key = ops.asarray([5, 9], "int32")
    assert (ops.to_numpy(ops.compile(draw)(key)) == ops.to_numpy(draw(key))).all()


@pytest.mark.parametrize("leading", [(), (1,), (2,), (2, 4), (2, 8), (17,)])
@pytest.mark.parametrize("out", [6, 7])
def test_linear_of_any_number_of_rows(backend: Backend, leading: tuple[int, ...], out: int) -> None:
    """Values and gradients are the composition's, compiled or not, with bias and delta."""
    hosts = {
        "x": _host(*leading, 5),
        "weight": _host(out, 5),
        "bias": _host(out),
        "a": _host(2, 5),
        "b": _host(out, 2),
    }
    probe = backend.ops.asarray(_host(*leading, out), "float64")
    tree = {name: backend.ops.asarray(x, "float64") for name, x in hosts.items()}

    def results(ops: Any, *, compiled: bool) -> list[np.ndarray]:
        def f(t: Tree) -> Array:
            y = ops.linear(t["x"], t["weight"], t["bias"], (t["a"], t["b"]))
            return ops.sum(ops.reshape(y * probe, (-1,)), 0)

        g = ops.value_and_grad(f)
        value, gradient = (ops.compile(g) if compiled else g)(tree)
        return [ops.to_numpy(x) for x in (value, *(gradient[name] for name in hosts))]

    expected = results(assemble(backend.ops, {}), compiled=False)
    for compiled in (False, True):
        for got, want in zip(results(backend.ops, compiled=compiled), expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-13)
