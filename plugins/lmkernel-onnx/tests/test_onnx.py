"""The ONNX Runtime backend: what it declares, how arrays are handed over, and a whole model."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import lmkernel_onnx.tracing
import numpy as np
import pytest
from lmkernel_onnx.graph import Graph, model_of
from lmkernel_onnx.ops import OnnxOps
from lmkernel_onnx.running import new_options
from lmkernel_onnx.sizes import Size, broadcast, product
from lmkernel_onnx.values import Value, node
from onnxruntime import InferenceSession
from small import small_config, values_of

from lmkernel.backend import Backend, load_backend
from lmkernel.errors import CapabilityError
from lmkernel.generation import GenerationOptions, generate_tokens
from lmkernel.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable

PROMPTS = [[5, 17, 3], [8, 2, 44, 9, 31, 7], [12]]


@pytest.fixture
def backend() -> Backend:
    return load_backend("onnx")


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    """The graphs that are compiled from here on."""
    made: list[Graph] = []
    own = lmkernel_onnx.tracing.session_of

    def session_of(graph: Graph, *rest: Any) -> InferenceSession:
        made.append(graph)
        return own(graph, *rest)

    monkeypatch.setattr(lmkernel_onnx.tracing, "session_of", session_of)
    return made


def greedy(backend: Backend) -> list[list[int | None]]:
    """Tokens of unequal rows."""
    model = Model(backend, small_config())
    options = GenerationOptions(max_new_tokens=24)
    return list(generate_tokens(model, model.pack(values_of(model)), PROMPTS, options))


def test_is_selected_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMKERNEL_BACKEND", "onnx")
    assert load_backend().name == "onnx"


def test_is_listed_without_its_library() -> None:
    code = "import sys, lmkernel; lmkernel.backends(); assert 'onnxruntime' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_refuses_gradients_as_declared(backend: Backend) -> None:
    with pytest.raises(CapabilityError, match="for inference alone"):
        backend.ops.value_and_grad(lambda x: x)


def test_refuses_a_device_that_it_has_not(backend: Backend) -> None:
    with pytest.raises(CapabilityError, match="declares the devices cpu"):
        load_backend("onnx", device="cuda")
    assert backend.device == "cpu"


def test_generates_what_the_default_backend_generates(backend: Backend) -> None:
    tokens = greedy(backend)
    assert tokens == greedy(load_backend("numpy"))
    assert len({token for row in tokens for token in row}) > 5


def test_a_step_is_one_graph(backend: Backend, programs: list[Graph]) -> None:
    model = Model(backend, small_config())
    params, state = model.pack(values_of(model)), model.begin({"decoder": None}, 1, 8)
    programs.clear()
    for position in range(3):
        column = np.array([[position]], np.int32)
        _, state = model.step(params, column, column, state)
    assert len(programs) == 1
    assert len(programs[0].nodes) > 50


def test_arrays_are_hosts_own_and_values_while_traced(backend: Backend) -> None:
    seen: list[type] = []

    def f(x: Any) -> Any:
        seen.append(type(x))
        return backend.ops.exp(x)

    y = backend.ops.compile(f)(np.zeros(3, np.float32))
    assert seen == [Value]
    assert type(y) is np.ndarray


def test_a_packed_weight_is_an_array_that_is_not_copied(backend: Backend) -> None:
    weight = np.arange(12, dtype=np.float32).reshape(3, 4)
    packed = backend.ops.pack_linear(weight)
    assert np.array_equal(packed, weight)
    handed = lmkernel_onnx.tracing.handed_over(packed)
    assert handed.shape == (4, 3)
    assert np.shares_memory(handed, packed)


def test_a_product_by_a_packed_weight_transposes_nothing(
    backend: Backend, programs: list[Graph]
) -> None:
    x, weight = np.ones((1, 4), np.float32), np.arange(12, dtype=np.float32).reshape(3, 4)
    f = backend.ops.compile(backend.ops.linear)
    packed = backend.ops.pack_linear(weight)
    programs.clear()
    assert np.array_equal(f(x, packed), x @ weight.T)
    assert "Transpose" not in [each.op_type for each in programs[0].nodes]


def test_a_matrix_that_lies_transposed_keeps_its_meaning(backend: Backend) -> None:
    x = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    doubled = backend.ops.compile(lambda x: (x + x, x[1:, :2], backend.ops.reshape(x, (6,))))
    whole, part, flat = doubled(x)
    assert np.array_equal(whole, 2 * x)
    assert np.array_equal(part, x[1:, :2])
    assert np.array_equal(flat, np.arange(6))


def test_what_is_no_array_is_part_of_the_program(backend: Backend, programs: list[Graph]) -> None:
    f = backend.ops.compile(lambda x, tree: x * tree["factor"])
    x = np.ones(2, np.float32)
    assert f(x, {"factor": 3.0}).tolist() == [3, 3]
    assert f(x, {"factor": 4.0}).tolist() == [4, 4]
    assert f(x, {"factor": 3.0}).tolist() == [3, 3]
    assert len(programs) == 2


@pytest.mark.parametrize("x", [0.0, 1e-9, 0.3, -0.3, 1.999, 2.001, -5.0, 7.0, math.inf])
def test_erf_of_float64_has_all_its_digits(backend: Backend, x: float) -> None:
    [found] = backend.ops.erf(np.array([x]))
    assert found == pytest.approx(math.erf(x), rel=4e-16)


def test_a_loop_of_a_compiled_function_is_a_loop(backend: Backend, programs: list[Graph]) -> None:
    ops = backend.ops

    def f(xs: Any, bias: Any) -> Any:
        # the body uses what comes from outside, and returns a constant and one value twice
        def step(total: Any, x: Any) -> Any:
            total = total + x * bias
            return total, (total, total, ops.full((), 7.0, "float32"))

        return ops.scan(step, ops.full((2,), 0.0, "float32"), xs, reverse=True)

    xs, bias = np.arange(8, dtype=np.float32).reshape(4, 2), np.float32(3)
    total, (sums, again, sevens) = ops.compile(f)(xs, np.asarray(bias))
    assert [each.op_type for each in programs[-1].nodes].count("Scan") == 1
    assert total.tolist() == [36, 48]
    assert np.array_equal(sums, 3 * np.cumsum(xs[::-1], 0)[::-1])
    assert np.array_equal(again, sums)
    assert sevens.tolist() == [7] * 4


SIZES: dict[str, Callable[[Any], Any]] = {
    "sum": lambda n: 3 + n + 0,
    "difference": lambda n: 100 - n - 1,
    "negative": lambda n: -n + 50,
    "product": lambda n: product([2, n, 1]),
    "quotients": lambda n: (n * n) // n + 60 // n,
    "itself": lambda n: n // 1,
    "broadcast": lambda n: broadcast((1, 1), (4, n))[1],
}


@pytest.mark.parametrize("name", SIZES)
def test_arithmetic_of_extents_is_done_by_the_graph(name: str) -> None:
    graph = Graph()
    x = graph.input(np.dtype(np.float32), (graph.size("x", 0, 7),), "x")
    expression = SIZES[name]
    found = expression(x.shape[0])
    assert isinstance(found, Size)
    assert int(found) == expression(7)
    held = Value(graph, found.name, np.dtype(np.int64), (1,))
    result = node("Identity", [held], held.dtype, held.shape)
    proto = model_of(graph.proto("sizes", [result], {"x": ("n",)}))
    session = InferenceSession(proto.SerializeToString(), new_options())
    for extent in (7, 5, 12):
        assert session.run(None, {"x": np.zeros(extent, np.float32)})[0] == [expression(extent)]


OF_EXTENTS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "arange": (lambda x: OnnxOps().arange(2, x.shape[0], "int32"), lambda x: np.arange(2, len(x))),
    "full": (lambda x: OnnxOps().full(x.shape, 4.0, "float32"), lambda x: np.full(len(x), 4.0)),
    "value": (lambda x: OnnxOps().full((2,), x.shape[0], "int32"), lambda x: np.full(2, len(x))),
    "operand": (lambda x: x * x.shape[0], lambda x: x * len(x)),
    "constant": (
        lambda x: OnnxOps().broadcast_to(np.ones((1,), np.float32), x.shape),
        np.ones_like,
    ),
    "first": (lambda x: x[: x.shape[0] - 3], lambda x: x[:-3]),
    "rest": (lambda x: x[3:], lambda x: x[3:]),
    "last": (lambda x: x[-2:], lambda x: x[-2:]),
    "one": (lambda x: x[x.shape[0] - 2], lambda x: x[-2]),
    "rows": (
        lambda x: OnnxOps().reshape(x[: x.shape[0] - 1], (-1, 2)),
        lambda x: x[:-1].reshape(-1, 2),
    ),
}


@pytest.mark.parametrize("name", OF_EXTENTS)
def test_what_depends_on_an_extent_follows_it(name: str) -> None:
    ours, numpys = OF_EXTENTS[name]
    graph = Graph()
    found = ours(graph.input(np.dtype(np.float32), (graph.size("x", 0, 7),), "x"))
    axes = {"x": ("n",), found.name: tuple(f"m{i}" for i in range(found.ndim))}
    proto = model_of(graph.proto("extents", [found], axes))
    session = InferenceSession(proto.SerializeToString(), new_options())
    for extent in (7, 5, 11):
        x = np.arange(extent, dtype=np.float32)
        assert session.run(None, {"x": x})[0].tolist() == numpys(x).tolist()
