"""The Paddle backend: what it declares, what Paddle alone would get wrong, and a whole model."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from lmkernel_paddle.draws import two_seeds

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

with warnings.catch_warnings():  # Paddle's import warns of a compiler's cache
    warnings.simplefilter("ignore")
    import paddle

if TYPE_CHECKING:
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
def backend() -> Backend:
    return load_backend("paddle")


def greedy(backend: Backend) -> list[list[int | None]]:
    """Tokens of unequal rows, from weights large enough that no two come close."""
    model = Model(backend, LLAMA)
    values = {n: v * (1 if "norm" in n else 6) for n, v in model.initial(5).items()}
    options = GenerationOptions(max_new_tokens=24)
    return list(generate_tokens(model, model.pack(values), PROMPTS, options))


def slope(f: Any, x: list[float]) -> np.ndarray:
    """Paddle's own gradient of the sum of f(x) in float32."""
    at = paddle.to_tensor(x, dtype="float32", stop_gradient=False)
    return np.asarray(paddle.grad(f(at).sum(), at)[0].numpy())


def test_generates_what_the_default_backend_generates_with_and_without_overrides(
    backend: Backend,
) -> None:
    expected = greedy(load_backend("numpy"))
    assert greedy(backend) == expected
    assert greedy(replace(backend, ops=assemble(backend.ops, {}))) == expected
    assert len({token for row in expected for token in row}) > 10


@pytest.mark.parametrize("device", ["cpu:7", "gpu:7"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    from lmkernel_paddle.backend import create  # which imports Paddle

    with pytest.raises(CapabilityError, match=f"got '{device}'"):
        create(device)


def test_results_are_tensors_of_paddle(backend: Backend) -> None:
    ops = backend.ops
    made = ops.full((2, 3), 1.0, "float32")
    for x in (made, ops.matmul(made, ops.permute_dims(made, (1, 0))), ops.linear(made, made)):
        assert type(x) is paddle.Tensor


@pytest.mark.parametrize(("dtype", "first"), [("float32", -89), ("float64", -709)])
def test_exp_falls_to_zero_where_that_of_paddle_stays(
    backend: Backend, dtype: Any, first: float
) -> None:
    x = np.linspace(first - 60, first, 16, dtype=dtype)
    assert not backend.ops.to_numpy(backend.ops.exp(backend.ops.asarray(x, dtype))).any()
    assert paddle.exp(paddle.to_tensor(x)).numpy().min() > 0  # else it is needed no more


def test_softmax_keeps_what_paddle_cuts_off(backend: Backend) -> None:
    x = np.array([0.0, -70.0, -80.0], np.float32)
    got = backend.ops.to_numpy(backend.ops.softmax(backend.ops.asarray(x, "float32"), 0))
    np.testing.assert_allclose(got, np.exp(x.astype(np.float64)), rtol=1e-5)
    _, cut, as_well = paddle.nn.functional.softmax(paddle.to_tensor(x)).numpy()
    assert cut == as_well  # else it is needed no more


def test_silu_has_a_gradient_where_that_of_paddle_has_none(backend: Backend) -> None:
    ops, x = backend.ops, [-100.0, -1000.0]

    def total(t: Array) -> Array:
        return ops.sum(ops.silu(t), 0)

    _, got = ops.value_and_grad(total)(ops.asarray(x, "float32"))
    np.testing.assert_allclose(ops.to_numpy(got), [0, 0], atol=1e-37)
    assert not np.isfinite(slope(paddle.nn.functional.silu, x)).all()  # else it is needed no more


def test_products_of_unequal_rank_have_gradients(backend: Backend) -> None:
    ops = backend.ops
    x, y = (ops.full(shape, 0.5, "float32") for shape in ((2, 1, 3, 4), (3, 4, 5)))

    def total(pair: Any) -> Array:
        return ops.sum(ops.reshape(ops.matmul(*pair), (-1,)), 0)

    _, (of_x, of_y) = ops.value_and_grad(total)((x, y))
    np.testing.assert_array_equal(ops.to_numpy(of_x), np.full((2, 1, 3, 4), 7.5))
    np.testing.assert_array_equal(ops.to_numpy(of_y), np.full((3, 4, 5), 3.0))


def test_every_bit_of_a_key_changes_the_draws(backend: Backend) -> None:
    ops = backend.ops

    def draws(high: int, low: int) -> tuple[float, ...]:
        key = ops.asarray([high, low], "int32")
        return tuple(ops.to_numpy(ops.random_uniform(key, (4,), "float32")).tolist())

    keys = [(0, 0), *((1 << bit, 0) for bit in range(31)), *((0, 1 << bit) for bit in range(31))]
    assert len({draws(*key) for key in keys}) == 63
    assert len({two_seeds(*key) for key in keys}) == 63
    assert all(1 <= seed < 2**31 for key in keys for seed in two_seeds(*key))


def test_draws_do_not_move_the_state_of_the_process(backend: Backend) -> None:
    paddle.seed(5)
    expected = paddle.rand([3]).numpy()
    paddle.seed(5)
    backend.ops.random_uniform(backend.ops.asarray([1, 2], "int32"), (9,), "float32")
    np.testing.assert_array_equal(paddle.rand([3]).numpy(), expected)


def test_a_sum_of_integers_stays_what_it_is(backend: Backend) -> None:
    ops = backend.ops
    x = ops.asarray([[1, 2], [3, 4]], "int32")
    assert ops.dtype(ops.sum(x, 0)) == ops.dtype(ops.argmax(x, 1)) == "int32"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_linear_is_its_composition(backend: Backend, dtype: Any) -> None:
    ops, rng = backend.ops, np.random.Generator(np.random.Philox(3))
    composed = assemble(ops, {})
    shapes = ((2, 3, 4), (5, 4), (5,), (2, 4), (5, 2))
    x, weight, bias, a, b = (ops.asarray(rng.normal(size=shape), dtype) for shape in shapes)
    got, want = (ops.to_numpy(o.linear(x, weight, bias, (a, b))) for o in (ops, composed))
    bound = 16 * float(np.finfo(dtype).eps)  # five products of about one, added in another order
    np.testing.assert_allclose(
        got, want, rtol=0, atol=bound * max(1.0, math.ceil(np.abs(want).max()))
    )


def test_is_known_without_being_imported() -> None:
    code = (
        "import sys; from lmkernel.plugins import BackendSpec, default_registry;"
        "print(default_registry().get(BackendSpec, 'paddle').name, 'paddle' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "paddle False"
