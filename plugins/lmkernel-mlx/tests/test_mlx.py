"""The MLX backend, by name, installed: what it declares, its arrays, a whole model, its float64."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from lmkernel.backend import Backend, load_backend
from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    HeadConfig,
    MlpConfig,
    ModelConfig,
    TransformerConfig,
)
from lmkernel.generation import GenerationOptions, generate_tokens
from lmkernel.model import Model

GPT = ModelConfig(
    embedding=EmbeddingConfig(width=24, vocab=61, positions="learned", context=64),
    decoder=TransformerConfig(
        width=24,
        layers=2,
        attention=AttentionConfig(width=24, heads=6, kv_heads=2),
        mlp=MlpConfig(hidden=40),
        causal=True,
    ),
    head=HeadConfig(width=24, size=61, tied=True),
    context=64,
)
PROMPTS = [[5, 17, 3], [8, 2, 44, 9, 31, 7], [12]]


@pytest.fixture
def backend() -> Backend:
    return load_backend("mlx")


def greedy(name: str) -> list[list[int | None]]:
    model = Model(load_backend(name), GPT)
    values = {n: v * (1 if "norm" in n else 6) for n, v in model.initial(5).items()}
    options = GenerationOptions(max_new_tokens=24)
    return list(generate_tokens(model, model.pack(values), PROMPTS, options))


def test_same_tokens_as_the_default_backend() -> None:
    assert greedy("mlx") == greedy("numpy")


def test_arrays_are_mlx_s_own(backend: Backend) -> None:
    with backend.scope():
        assert isinstance(backend.ops.full((2,), 1.0, "bfloat16"), mx.array)


def test_scope_sets_the_device_and_sets_it_back(backend: Backend) -> None:
    before = mx.default_device()
    with backend.scope():
        assert mx.default_device() == mx.Device(mx.cpu, 0)
    assert mx.default_device() == before


@pytest.mark.parametrize("name", ["exp", "sin", "cos", "erf", "sigmoid"])
def test_float64_is_as_exact_as_float64(backend: Backend, name: str) -> None:
    known = {"erf": math.erf, "sigmoid": lambda x: 1 / (1 + math.exp(-x))}
    points = [-3.7, -1.0, -0.01, 0.0, 0.3, 1.9, 2.1, 5.0]
    expected = [known.get(name, getattr(math, name, None))(x) for x in points]
    with backend.scope():
        got = backend.ops.to_numpy(
            getattr(backend.ops, name)(backend.ops.asarray(points, "float64"))
        )
    np.testing.assert_allclose(got, expected, rtol=1e-14, atol=1e-15)


def test_registering_it_imports_no_mlx() -> None:
    code = (
        "import sys, lmkernel_mlx.plugin as p; p.lmkernel_register_backends(); "
        "print('mlx.core' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_mandatory_tier_is_small() -> None:
    import lmkernel_mlx.ops

    assert len(Path(lmkernel_mlx.ops.__file__).read_text("utf-8").splitlines()) <= 300
