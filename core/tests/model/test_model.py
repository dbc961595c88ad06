"""A model runs whole or step by step with the same result, and guards its state."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from small import small_config, values_of

from lmkernel.backend import load_backend
from lmkernel.config import EmbeddingConfig, FeedForwardConfig, ModelConfig, PrecisionPolicy
from lmkernel.errors import CacheError, CapabilityError, InputError
from lmkernel.model import Model
from lmkernel.model.state import bucket

TOKENS = np.array([[3, 9, 27, 20, 60], [1, 4, 16, 3, 12]], np.int32)
POSITIONS = np.broadcast_to(np.arange(5, dtype=np.int32), (2, 5))


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(load_backend(), small_config())


def whole(model: Model, params: object) -> np.ndarray:
    backend = model.backend
    with backend.scope():
        return backend.ops.to_numpy(model.forward(params, backend.ops.asarray(TOKENS, "int32")))


def test_steps_equal_the_whole(model: Model) -> None:
    params = model.pack(values_of(model))
    expected, state = whole(model, params), model.begin(params, 2, 5)
    got, state = model.step(params, TOKENS[:, :3], POSITIONS[:, :3], state)
    np.testing.assert_allclose(got, expected[:, 2], rtol=0, atol=2e-4)
    for i in (3, 4):
        step = slice(i, i + 1)
        got, state = model.step(params, TOKENS[:, step], POSITIONS[:, step], state)
        np.testing.assert_allclose(got, expected[:, i], rtol=0, atol=2e-4)


@pytest.mark.parametrize("time", [511, 512, 513, 700])
def test_m10_a_long_prompt_loses_no_token(time: int) -> None:
    model = Model(load_backend(), small_config(max_position_embeddings=1024))
    params = model.pack(values_of(model))
    tokens = (np.arange(time, dtype=np.int32) * 37 % 61)[None]
    positions = np.arange(time, dtype=np.int32)[None]
    with model.backend:
        ids = model.backend.ops.asarray(tokens, "int32")
        expected = model.backend.ops.to_numpy(model.forward(params, ids))[:, -1]
    got, state = model.step(params, tokens, positions, model.begin(params, 1, time))
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-4)
    assert state.used == time
    # a token at the start is seen at the end
    other = tokens.copy()
    other[0, 0] += 1
    moved, _ = model.step(params, other, positions, model.begin(params, 1, time))
    assert np.abs(moved - got).max() > 2e-4


def test_state_grows_when_it_is_full(model: Model) -> None:
    params = model.pack(values_of(model))
    expected, state = whole(model, params), model.begin(params, 2, 1)
    for i in range(5):
        step = slice(i, i + 1)
        got, state = model.step(params, TOKENS[:, step], POSITIONS[:, step], state)
    np.testing.assert_allclose(got, expected[:, 4], rtol=0, atol=2e-4)
    assert state.used == 5


def test_consumed_state_is_refused(model: Model) -> None:
    params = model.pack(values_of(model))
    old = model.begin(params, 2, 8)
    model.step(params, TOKENS[:, :1], POSITIONS[:, :1], old)
    with pytest.raises(CacheError, match="consumed"):
        model.step(params, TOKENS[:, 1:2], POSITIONS[:, 1:2], old)


def test_fork_goes_its_own_way(model: Model) -> None:
    params = model.pack(values_of(model))
    _, state = model.step(params, TOKENS[:, :2], POSITIONS[:, :2], model.begin(params, 2, 8))
    other = model.fork(state)
    model.step(params, TOKENS[:, :1], POSITIONS[:, 2:3], state)
    got, _ = model.step(params, TOKENS[:, 2:3], POSITIONS[:, 2:3], other)
    np.testing.assert_allclose(got, whole(model, params)[:, 2], rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    ("tokens", "positions", "message"),
    [
        (TOKENS[:1], POSITIONS[:1], r"shape \(2, time\)"),
        (TOKENS + 10, POSITIONS, r"tokens in 0 … 60, got 11 … 70"),
        (TOKENS, POSITIONS + 44, "below the context of 48, -1 for padding, got 44 … 48"),
        (TOKENS, POSITIONS - 2, "-1 for padding, got -2 … 2"),
        (TOKENS[:, :0], POSITIONS[:, :0], r"shape \(2, time\)"),
        (TOKENS[0], POSITIONS[0], r"shape \(2, time\)"),
        (TOKENS * 1.0, POSITIONS, "tokens: expected a NumPy array of integers, got float64"),
        (TOKENS > 3, POSITIONS, "tokens: expected a NumPy array of integers, got bool"),
        (TOKENS, POSITIONS + 0.5, "positions: expected a NumPy array of integers, got float64"),
        (TOKENS.tolist(), POSITIONS, "tokens: expected a NumPy array of integers, got list"),
        (TOKENS, None, "positions: expected a NumPy array of integers, got NoneType"),
    ],
)
def test_bad_input_is_named(
    model: Model, tokens: np.ndarray, positions: np.ndarray, message: str
) -> None:
    params = model.pack(values_of(model))
    with pytest.raises(InputError, match=message):
        model.step(params, tokens, positions, model.begin(params, 2, 8))


def test_integers_of_any_width_are_fed(model: Model) -> None:
    params = model.pack(values_of(model))
    expected, _ = model.step(params, TOKENS, POSITIONS, model.begin(params, 2, 8))
    for dtype in (np.uint8, np.int64):
        start = model.begin(params, np.int64(2), np.int64(8))  # type: ignore[arg-type]  # as integers are
        got, _ = model.step(params, TOKENS.astype(dtype), POSITIONS.astype(dtype), start)  # type: ignore[arg-type]  # as integers are
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("batch", "capacity", "message"),
    [
        (0, 8, "batch: expected a whole number of at least 1, got 0"),
        (-1, 8, "batch: expected"),
        (1.5, 8, "batch: expected"),
        (True, 8, "batch: expected"),
        ("2", 8, "batch: expected"),
        (2, -1, "capacity: expected a whole number of at least 0, got -1"),
        (2, None, "capacity: expected"),
    ],
)
def test_senseless_size_of_a_state_is_refused(
    model: Model, batch: Any, capacity: Any, message: str
) -> None:
    params = model.pack(values_of(model))
    with pytest.raises(InputError, match=message):
        model.begin(params, batch, capacity)


def test_what_is_no_state_is_refused(model: Model) -> None:
    params: Any = model.pack(values_of(model))
    with pytest.raises(InputError, match="state: expected a DecodingState, got None"):
        model.step(params, TOKENS, POSITIONS, None)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("take", ["place", "pack"])
def test_parameters_that_are_not_those_declared_are_refused(model: Model, take: str) -> None:
    values, name = values_of(model), "decoder.layers.1.attention_norm.weight"
    wrong: list[tuple[Any, str]] = [
        (None, "expected parameters by dotted name, got None"),
        ([1], "expected parameters by dotted name"),
        ({}, "parameters declared: '.*' is missing"),
        ({n: x for n, x in values.items() if n != name}, f"'{name}' is missing"),
        ({**values, "more": values[name]}, "'more' is unknown"),
        ({**values, name: values[name][:3]}, rf"{name}: expected numbers of shape \(24,\), got"),
        ({**values, name: "abc"}, f"{name}: expected .* got str"),
        ({**values, name: values[name] * 1j}, f"{name}: expected .* complex"),
        ({**values, name: values[name].astype(str)}, f"{name}: expected .* of <U"),
    ]
    for given, message in wrong:
        with pytest.raises(InputError, match=message):
            getattr(model, take)(given)


def test_undeclared_dtype_is_refused() -> None:
    with pytest.raises(CapabilityError, match="bfloat16"):
        Model(load_backend("numpy"), small_config(), PrecisionPolicy(compute="bfloat16"))


def test_one_seed_gives_one_model(model: Model) -> None:
    again = Model(model.backend, small_config())
    first, second = model.initial(11), again.initial(11)
    assert all((first[name] == second[name]).all() for name in first)
    assert (first["embedding.tokens.weight"] != model.initial(12)["embedding.tokens.weight"]).any()


def test_buckets_double() -> None:
    assert [bucket(n, 64) for n in (1, 64, 65, 200)] == [64, 64, 128, 256]
    assert bucket(37, 1) == 37


@pytest.mark.parametrize("kind", ["ids", "vectors"])
def test_an_encoder_takes_host_arrays(kind: str) -> None:
    encoder = FeedForwardConfig(widths=(3, 4))
    embedding = EmbeddingConfig(kind="vectors", width=3)
    if kind == "ids":
        embedding = EmbeddingConfig(width=3, vocab=7)
    model = Model(load_backend(), ModelConfig(embedding=embedding, encoder=encoder))
    inputs = np.array([[1, 5]]) if kind == "ids" else np.ones((1, 2, 3))
    memory = model.encode(model.pack(model.initial(1)), inputs)
    assert memory.hidden.shape == (1, 2, 4)


def test_a_backend_is_a_scope_in_several_threads_and_inside_itself() -> None:
    backend = load_backend()
    with backend as outer, backend as inner, ThreadPoolExecutor(2) as pool:
        assert outer is inner is backend

        def product(n: int) -> float:
            with backend:
                return float(backend.ops.to_numpy(backend.ops.full((), n, "float32")))

        assert list(pool.map(product, range(8))) == list(range(8))
