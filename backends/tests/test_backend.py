"""Every backend computes the tutorial's numbers, values and gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lmkernel.backend import Backend, load_backend
from lmkernel.composed import COMPOSED, assemble
from lmkernel.contract.mandatory import MandatoryOps
from lmkernel.contract.optional import Ops, OptionalOps
from lmkernel.errors import CapabilityError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterator

EPS = {"float32": 1.2e-7, "float64": 2.3e-16}


@pytest.fixture
def backend() -> Iterator[Backend]:
    """The one that LMKERNEL_BACKEND selects; a missing framework is an error, never a skip."""
    loaded = load_backend()
    with loaded.scope():
        yield loaded


def test_strict_products_keep_all_bits(backend: Backend) -> None:
    """TF32 keeps 11 of 24 bits, bfloat16 8; the scope can be entered twice."""
    x = np.array([[1 + 2.0**-11, 2.0**-23]], np.float32)
    with backend.strict(), backend.strict():
        product = backend.ops.matmul(
            backend.ops.asarray(x, "float32"), backend.ops.asarray(x.T, "float32")
        )
        assert backend.ops.to_numpy(product).item() == float(x[0, 0]) ** 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_document_chain(backend: Backend, dtype: str) -> None:
    """3.3.1 to 3.3.3 by their formulas: W·x, W·e + b, softmax; 3.3.1 and softmax are errata."""
    ops: Ops = backend.ops
    kind = backend.capabilities.require_dtype(backend.name, dtype)
    one = ops.asarray([1, 0, 0], kind)
    embedding = ops.linear(one, ops.asarray([[0, 1, 0], [1, 0, 1], [0, 1, 0]], kind))
    assert ops.to_numpy(embedding).tolist() == [0, 1, 0]
    weight = ops.asarray([[1, 0, 1], [0, 1, 0], [1, 1, 0]], kind)
    logits = ops.linear(embedding, weight, ops.asarray([1, 1, 1], kind))
    assert ops.to_numpy(logits).tolist() == [1, 2, 2]
    output = ops.to_numpy(ops.softmax(logits))
    expected = [0.15536240349696362, 0.42231879825151820, 0.42231879825151820]
    np.testing.assert_allclose(output, expected, rtol=4 * EPS[dtype], atol=0)
    assert str(output.dtype) == dtype


def test_document_losses(backend: Backend) -> None:
    ops = backend.ops
    prediction = ops.asarray([0.5, 0.3, 0.2], "float64")
    target = ops.asarray([0.7, 0.2, 0.1], "float64")
    assert abs(float(ops.mse(prediction, target)) - 0.02) <= 4 * EPS["float64"]
    loss = float(ops.soft_cross_entropy(ops.log(prediction), target))
    assert abs(loss - 0.886941378500559) <= 4 * EPS["float64"]


@pytest.mark.parametrize(
    "name", ["exp", "tanh", "sigmoid", "erf", "relu", "silu", "gelu", "gelu_tanh", "softmax"]
)
def test_gradient_agrees_with_central_differences(backend: Backend, name: str) -> None:
    ops = backend.ops
    x = ops.asarray([-2.1, -0.7, 0.3, 1.9, 4.0], "float64")
    weight = ops.asarray([0.3, -1.1, 2.0, 0.7, -0.4], "float64")

    def f(tree: dict[str, np.ndarray]) -> np.ndarray:
        return ops.sum(getattr(ops, name)(tree["x"]) * weight, 0)

    _, gradient = ops.value_and_grad(f)({"x": x, "unused": weight})
    h = 1e-5
    steps = ops.asarray(np.eye(5) * h, "float64")
    expected = [float(f({"x": x + s}) - f({"x": x - s})) / (2 * h) for s in steps]
    np.testing.assert_allclose(ops.to_numpy(gradient["x"]), expected, rtol=0, atol=1e-8)
    assert not ops.to_numpy(gradient["unused"]).any()


def test_gradient_keeps_float32(backend: Backend) -> None:
    ops = backend.ops
    x = ops.asarray([[1.0, 2.0, 4.0]], "float32")
    weight = ops.asarray([1.0, 0.5, 2.0], "float32")
    f = ops.value_and_grad(lambda t: ops.mse(ops.rms_norm(t, weight, 1e-6), x))
    assert ops.dtype(f(x)[1]) == "float32"


def test_norms_at_extremes(backend: Backend) -> None:
    ops = backend.ops
    ones = ops.full((8,), 1.0, "float64")
    spread = np.arange(8.0) - 3.5
    expected = spread / np.sqrt(np.mean(spread**2) + 1e-5)
    got = ops.layer_norm(ops.asarray(spread + 1000, "float64"), ones, None, 1e-5)
    np.testing.assert_allclose(ops.to_numpy(got), expected, rtol=1e-12)
    small = spread * 1e-3
    expected = small / np.sqrt(np.mean(small**2) + 1e-6)
    got = ops.rms_norm(ops.asarray(small, "float64"), ones, 1e-6)
    np.testing.assert_allclose(ops.to_numpy(got), expected, rtol=1e-14)


def test_softmax_survives_large_logits_on_every_axis(backend: Backend) -> None:
    ops = backend.ops
    x = ops.asarray([[1000.0, 999.0], [1000.0, -1000.0]], "float32")
    for axis in (0, 1, -1):
        y = ops.to_numpy(ops.softmax(x, axis))
        np.testing.assert_allclose(y.sum(axis), 1, rtol=4 * EPS["float32"])


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_carries_and_stacks(backend: Backend, *, reverse: bool) -> None:
    ops = backend.ops
    xs = ops.asarray([1.0, 2.0, 4.0], "float64")
    one = ops.asarray(0.0, "float64")
    total, sums = ops.scan(lambda c, x: (c + x, c + x), one, xs, reverse=reverse)
    assert float(total) == 7
    assert ops.to_numpy(sums).tolist() == ([7, 6, 4] if reverse else [1, 3, 7])


def test_cache_update_writes_at_start(backend: Backend) -> None:
    ops = backend.ops
    buffer, values = ops.full((1, 4, 2), 0.0, "float32"), ops.full((1, 2, 2), 3.0, "float32")
    got = ops.cache_update(buffer, values, ops.asarray(1, "int32"), 1)
    assert ops.to_numpy(got)[0, :, 0].tolist() == [0, 3, 3, 0]


def test_memory_that_may_not_be_written_is_taken_without_a_word(backend: Backend) -> None:
    host = np.arange(6, dtype=np.float32).reshape(2, 3)
    host.flags.writeable = False
    for given in (host, host.T, np.frombuffer(host.tobytes(), np.float32)):
        found = backend.ops.asarray(given, "float32", copy=False)
        np.testing.assert_array_equal(backend.ops.to_numpy(found), given)


def test_random_uniform_is_keyed(backend: Backend) -> None:
    ops = backend.ops
    draws = [
        ops.to_numpy(ops.random_uniform(ops.asarray(key, "int32"), (5, 3), "float32"))
        for key in ([1, 2], [1, 2], [2, 1])
    ]
    assert (draws[0] == draws[1]).all()
    assert (draws[0] != draws[2]).any()
    assert ((draws[0] >= 0) & (draws[0] < 1)).all()


def test_random_uniform_is_below_one(backend: Backend) -> None:
    ops = backend.ops
    draws = ops.to_numpy(ops.random_uniform(ops.asarray([1, 3], "int32"), (1 << 22,), "float32"))
    assert 1 - 1e-5 < draws.max() < 1
    assert 0 <= draws.min() < 1e-5


def test_every_optional_operation_has_a_composition() -> None:
    declared = OptionalOps.__abstractmethods__ - MandatoryOps.__abstractmethods__
    assert set(COMPOSED) == declared
    assert len(MandatoryOps.__abstractmethods__) <= 50


def test_operations_are_frozen_and_overrides_checked(backend: Backend) -> None:
    with pytest.raises(AttributeError, match="frozen"):
        backend.ops.exp = None  # type: ignore[method-assign, assignment]
    with pytest.raises(UnknownNameError, match=r"'softmx'.*'softmax'"):
        assemble(backend.ops, {"softmx": abs})


@pytest.mark.parametrize(
    "name",
    [
        "softmax",
        "log_softmax",
        "linear",
        "relu",
        "silu",
        "gelu",
        "gelu_tanh",
        "layer_norm",
        "rms_norm",
    ],
)
def test_operation_agrees_with_its_composition(backend: Backend, name: str) -> None:
    """Values and gradients, float64, asymmetric inputs with distinct extents."""
    composed = assemble(backend.ops, {})
    host = np.random.Generator(np.random.Philox(7)).normal(size=(6, 4, 8))
    x, probe = (backend.ops.asarray(h, "float64") for h in (host[0], host[1]))
    weight, bias = backend.ops.asarray(host[2:4, 0], "float64")
    square = backend.ops.asarray(host[4:6].reshape(8, 8), "float64")
    rest = {
        "linear": (square, bias),
        "layer_norm": (weight, bias, 1e-5),
        "rms_norm": (weight, 1e-6),
    }.get(name, ())

    def results(ops: Ops) -> list[np.ndarray]:
        f = ops.value_and_grad(
            lambda t: ops.sum(ops.reshape(getattr(ops, name)(t, *rest) * probe, (-1,)), 0)
        )
        return [ops.to_numpy(r) for r in (getattr(ops, name)(x, *rest), f(x)[1])]

    for got, expected in zip(results(backend.ops), results(composed), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


def test_undeclared_device_is_refused() -> None:
    with pytest.raises(CapabilityError, match=r"'numpy' declares the devices cpu; got 'cuda'"):
        load_backend("numpy", device="cuda")
