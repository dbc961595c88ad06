"""The MLX backend, by name: what it declares, what MLX alone would get wrong, and a whole model."""

from __future__ import annotations

import inspect
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np
import pytest
from lmkernel_mlx.backend import create

from lmkernel.backend import Backend, load_backend
from lmkernel.composed import assemble
from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    HeadConfig,
    MlpConfig,
    ModelConfig,
    RotaryConfig,
    TransformerConfig,
)
from lmkernel.errors import CapabilityError
from lmkernel.generation import GenerationOptions, generate_tokens
from lmkernel.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmkernel.contract.mandatory import Array

LLAMA = ModelConfig(
    embedding=EmbeddingConfig(width=24, vocab=61, positions="rotary", rotary=RotaryConfig(dim=8)),
    decoder=TransformerConfig(
        width=24,
        layers=2,
        attention=AttentionConfig(width=24, heads=6, kv_heads=2, head_dim=8),
        mlp=MlpConfig(hidden=40),
        causal=True,
    ),
    head=HeadConfig(width=24, size=61, tied=True),
    context=64,
)
PROMPTS = [[5, 17, 3], [8, 2, 44, 9, 31, 7], [12]]


@pytest.fixture
def backend() -> Iterator[Backend]:
    loaded = load_backend("mlx")
    with loaded.scope():
        yield loaded


@pytest.mark.parametrize("device", ["cpu:7", "gpu:7"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(CapabilityError, match=f"a device that is there, got '{device}'; .*: cpu"):
        create(device)


def greedy(backend: Backend) -> list[list[int | None]]:
    """Tokens of unequal rows, from weights large enough that no two come close."""
    model = Model(backend, LLAMA)
    values = {n: v * (1 if "norm" in n else 6) for n, v in model.initial(5).items()}
    options = GenerationOptions(max_new_tokens=24)
    return list(generate_tokens(model, model.pack(values), PROMPTS, options))


def normal(*shape: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(3)).normal(size=shape)


def test_generates_what_the_default_backend_generates_with_and_without_overrides() -> None:
    own = load_backend("mlx")
    expected = greedy(load_backend("numpy"))
    assert greedy(own) == expected
    assert greedy(replace(own, ops=assemble(own.ops, {}))) == expected
    assert len({token for row in expected for token in row}) > 10


def test_declares_the_processor_alone() -> None:
    with pytest.raises(CapabilityError, match=r"'mlx' declares the devices cpu; got 'gpu'"):
        load_backend("mlx", device="gpu")


def test_results_are_arrays_of_mlx(backend: Backend) -> None:
    ops = backend.ops
    made = ops.full((2, 3), 1.0, "float32")
    packed = ops.pack_linear(made)
    for x in (made, ops.matmul(made, ops.permute_dims(made, (1, 0))), ops.linear(made, packed)):
        assert type(x) is mx.array


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        ("exp", math.exp),
        ("cos", math.cos),
        ("sin", math.sin),
        ("sigmoid", lambda x: math.exp(x) / (1 + math.exp(x))),
        ("erf", math.erf),
    ],
)
def test_float64_is_exact_where_that_of_mlx_is_not(
    backend: Backend, name: str, exact: Callable[[float], float]
) -> None:
    ops = backend.ops
    host = np.array([-30.5, -6.1, -2.0, -1.7, -1e-3, 0.0, 1e-8, 0.3, 1.999, 2.001, 3.5, 12.7])
    expected = np.array([exact(x) for x in host])
    x = ops.asarray(host, "float64")
    np.testing.assert_allclose(ops.to_numpy(getattr(ops, name)(x)), expected, rtol=3e-15, atol=0)
    rough = np.array(getattr(mx, name)(x))
    assert np.abs(rough - expected).max() > 1e-10  # else `wide` is needed no more


def test_erf_of_float32_keeps_its_digits_near_zero() -> None:
    x = np.array([-0.499, -1e-3, 1e-6, 1e-30, 0.05, 0.2, 0.4999, 0.5001, 3.0], np.float32)
    expected = np.array([math.erf(float(z)) for z in x])
    got, rough = (
        np.array(f(mx.array(x)), np.float64) for f in (load_backend("mlx").ops.erf, mx.erf)
    )
    units = np.abs(expected) * 2.0**-23
    assert (np.abs(got - expected) <= 8 * units).all()
    assert (np.abs(rough - expected) > 1000 * units).any()  # else the series is needed no more


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ends_of_functions_are_finite_and_nan_stays(backend: Backend, dtype: Any) -> None:
    ops = backend.ops
    x = ops.asarray([-1e4, 1e4, math.nan], dtype)
    low, high = ([0, -1, 0], [np.inf, 1, 1])
    for i, name in enumerate(("exp", "erf", "sigmoid")):
        expected = [low[i], high[i], np.nan]
        np.testing.assert_array_equal(ops.to_numpy(getattr(ops, name)(x)), expected)


@pytest.mark.parametrize("name", ["softmax", "layer_norm", "rms_norm"])
@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 2e-6), ("float64", 1e-14)])
def test_overrides_are_their_compositions(
    backend: Backend, name: str, dtype: Any, rtol: float
) -> None:
    ops = backend.ops
    x, probe = (ops.asarray(h, dtype) for h in normal(2, 3, 7))
    weight, bias = (ops.asarray(h, dtype) for h in normal(2, 7))
    rest = {"softmax": (), "layer_norm": (weight, bias, 1e-5), "rms_norm": (weight, 1e-6)}[name]

    def results(table: Any) -> list[np.ndarray]:
        def f(t: Array) -> Array:
            return ops.sum(ops.reshape(getattr(table, name)(t, *rest) * probe, (-1,)), 0)

        return [
            ops.to_numpy(y) for y in (getattr(table, name)(x, *rest), ops.value_and_grad(f)(x)[1])
        ]

    for got, want in zip(results(ops), results(assemble(ops, {})), strict=True):
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_packed_weights_give_what_they_were_made_of(backend: Backend, dtype: Any) -> None:
    ops = backend.ops
    weight, x = (ops.asarray(h, dtype) for h in (normal(5, 4), normal(2, 3, 4)))
    packed = ops.pack_linear(weight)
    indices = ops.asarray([[4, 0, 4]], "int32")
    assert packed.shape == (5, 4)
    host = ops.to_numpy(weight)
    np.testing.assert_array_equal(ops.to_numpy(ops.unpack_linear(packed)), host)
    np.testing.assert_array_equal(ops.to_numpy(ops.take_rows(packed, indices)), host[[[4, 0, 4]]])
    got, want = (ops.to_numpy(ops.linear(x, w)) for w in (packed, weight))
    np.testing.assert_allclose(got, want, rtol=1e-2 if dtype == "bfloat16" else 1e-5)


def test_float64_draws_have_more_digits_than_float32(backend: Backend) -> None:
    ops = backend.ops
    draws = ops.to_numpy(ops.random_uniform(ops.asarray([1, 2], "int32"), (4000,), "float64"))
    assert ((draws >= 0) & (draws < 1)).all()
    assert (draws.astype(np.float32) != draws).mean() > 0.9
    assert abs(draws.mean() - 0.5) < 0.03


def test_an_index_made_of_values_carries_no_gradient(backend: Backend) -> None:
    ops = backend.ops

    def f(t: Array) -> Array:
        best = ops.reshape(ops.argmax(t, 0), (1,))
        return ops.sum(ops.take(t, best, 0) * ops.astype(best, "float32"), 0)

    value, gradient = ops.value_and_grad(f)(ops.asarray([0.5, 3.0, 1.0], "float32"))
    assert (float(value), ops.to_numpy(gradient).tolist()) == (3, [0, 1, 0])


def test_computes_in_any_thread(backend: Backend) -> None:
    """MLX has its streams per thread; the scope gives each thread its own."""

    def run(size: int) -> float:
        with backend.scope():
            ones = backend.ops.full((size, size), 1.0, "float32")
            return float(backend.ops.to_numpy(backend.ops.matmul(ones, ones)).sum())

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, [3, 4, 5])) == [27, 64, 125]


def test_scope_is_undone() -> None:
    before = mx.default_device()
    own = load_backend("mlx")
    with own.scope(), own.scope():
        assert mx.default_device() == mx.Device(mx.cpu, 0)
    assert mx.default_device() == before


def test_is_known_without_being_imported() -> None:
    code = (
        "import sys; from lmkernel.plugins import BackendSpec, default_registry;"
        "print(default_registry().get(BackendSpec, 'mlx').name, 'mlx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "mlx False"


def test_mandatory_tier_is_small() -> None:
    import lmkernel_mlx.ops
    import lmkernel_mlx.wide

    texts = [inspect.getsource(module) for module in (lmkernel_mlx.ops, lmkernel_mlx.wide)]
    assert sum(len(text.splitlines()) for text in texts) <= 300
