"""The minimal backend, by name: what it declares, what the contract asks, and a whole model."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from lmkernel.backend import Backend, load_backend
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
    return load_backend("minimal")


def greedy(backend: str) -> list[list[int | None]]:
    """Tokens of unequal rows, from weights large enough that no two come close."""
    model = Model(load_backend(backend), LLAMA)
    values = {n: v * (1 if "norm" in n else 6) for n, v in model.initial(5).items()}
    options = GenerationOptions(max_new_tokens=24)
    return list(generate_tokens(model, model.pack(values), PROMPTS, options))


def test_is_selected_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMKERNEL_BACKEND", "minimal")
    assert load_backend().name == "minimal"


def test_supplies_the_mandatory_tier_alone(backend: Backend) -> None:
    assert backend.ops.overridden == {}
    assert backend.components == {}


def test_generates_what_the_default_backend_generates() -> None:
    tokens = greedy("minimal")
    assert tokens == greedy("numpy")
    assert len({token for row in tokens for token in row}) > 10


def test_gradients_are_refused_as_declared(backend: Backend) -> None:
    [(operation, reason)] = backend.capabilities.unsupported.items()
    with pytest.raises(CapabilityError, match=f"{operation}.*unsupported: {reason}"):
        getattr(backend.ops, operation)(backend.ops.exp)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_sums_keep_their_dtype(backend: Backend, dtype: str) -> None:
    ops = backend.ops
    total = ops.sum(ops.asarray([1, 2, 4], dtype), 0)  # type: ignore[arg-type]  # one of DType
    assert (ops.dtype(total), float(total)) == (dtype, 7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_keeps_its_digits_at_both_ends(backend: Backend, dtype: str) -> None:
    ops = backend.ops
    y = ops.sigmoid(ops.asarray([-1000, -30, 0, 1000], dtype))  # type: ignore[arg-type]  # one of DType
    assert str(y.dtype) == dtype
    np.testing.assert_allclose(y, [0, 1 / (1 + math.exp(30)), 0.5, 1], rtol=3e-7)


def test_erf_is_that_of_the_library(backend: Backend) -> None:
    y = backend.ops.erf(backend.ops.asarray([[-0.5, 0], [1, 7]], "float64"))
    assert y.tolist() == [[math.erf(-0.5), 0], [math.erf(1), 1]]


def test_cache_update_writes_its_slots_alone(backend: Backend) -> None:
    ops = backend.ops
    buffer, values = ops.full((2, 5, 3), 1, "float32"), ops.full((2, 2, 3), 7, "float32")
    got = ops.cache_update(buffer, values, ops.asarray(2, "int32"), 1)
    assert got[:, :, 0].tolist() == [[1, 1, 7, 7, 1]] * 2


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_stacks_in_the_order_of_the_inputs(backend: Backend, *, reverse: bool) -> None:
    ops = backend.ops
    xs = ops.asarray([1, 2, 4], "float64")
    last, sums = ops.scan(
        lambda c, x: (c + x, c + x), ops.full((), 0, "float64"), xs, reverse=reverse
    )
    assert float(last) == 7
    assert sums.tolist() == ([7, 6, 4] if reverse else [1, 3, 7])


def test_random_numbers_follow_from_their_key(backend: Backend) -> None:
    ops = backend.ops
    keys = ([1, 2], [1, 2], [2, 1])
    one, same, other = (
        ops.random_uniform(ops.asarray(key, "int32"), (4, 3), "float32") for key in keys
    )
    assert (one == same).all()
    assert (one != other).any()
    assert ops.dtype(one) == "float32"


def test_brings_no_other_backend_and_no_framework() -> None:
    code = (
        "import sys; from lmkernel.backend import load_backend;"
        "from lmkernel.plugins import Registry; from lmkernel_minimal import plugin;"
        "load_backend('minimal', registry=Registry({'minimal': plugin}));"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & set(sys.argv[1:])))"
    )
    names = ["numpy", "torch", "tensorflow", "jax"]
    others = [f"lmkernel_{name}" for name in names] + ["autograd", "scipy", *names[1:]]
    command = [sys.executable, "-c", code, "lmkernel_minimal", *others]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['lmkernel_minimal']"
