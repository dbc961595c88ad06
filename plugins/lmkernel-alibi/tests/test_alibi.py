"""Attention with linear biases, by name, on the backend that LMKERNEL_BACKEND selects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from lmkernel_alibi.attention import slopes

from lmkernel.backend import Backend, load_backend
from lmkernel.components.positions import visible
from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    HeadConfig,
    MlpConfig,
    ModelConfig,
    PrecisionPolicy,
    TransformerConfig,
)
from lmkernel.contract.trees import tree_map
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import View
from lmkernel.model import Model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

ATTENTION = AttentionConfig(kind="alibi", width=20, heads=6, kv_heads=2, head_dim=5, bias=True)
MODEL = ModelConfig(
    embedding=EmbeddingConfig(width=20, vocab=31, positions="none"),
    decoder=TransformerConfig(
        width=20, layers=2, attention=ATTENTION, mlp=MlpConfig(hidden=28), causal=True
    ),
    head=HeadConfig(width=20, size=31, tied=True),
)
DOUBLE = PrecisionPolicy(params="float64", compute="float64", output="float64")
PROMPTS = [[4, 17, 9], [8, 2, 30, 11, 5, 21], [13]]
CLOSE: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-12}


def draw(*shape: int, seed: int = 3) -> NDArray[np.float64]:
    return np.random.Generator(np.random.Philox(seed)).normal(size=shape)


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    loaded = load_backend()
    with loaded.scope():
        yield loaded


@pytest.fixture(scope="module")
def model(backend: Backend) -> Model:
    return Model(backend, MODEL, DOUBLE)


@pytest.fixture(scope="module")
def params(model: Model) -> Any:
    return model.pack({n: draw(*v.shape) / 3 for n, v in model.initial(1).items()})


def logits(model: Model, params: Any, tokens: list[int], first: int = 0) -> NDArray[np.float64]:
    """Every position of one row at once: ``(time, vocab)``."""
    ops = model.backend.ops
    positions = ops.arange(first, first + len(tokens), "int32")
    output = model.forward(
        params, ops.asarray([tokens], "int32"), positions=ops.reshape(positions, (1, -1))
    )
    row: NDArray[np.float64] = ops.to_numpy(output)[0]
    return row


def test_slopes_of_a_power_of_two_are_geometric() -> None:
    assert slopes(8) == [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]
    assert slopes(1) == [1 / 256]


def test_slopes_of_other_counts_are_filled_from_the_next_power() -> None:
    assert slopes(6) == [1 / 4, 1 / 16, 1 / 64, 1 / 256, 1 / 2, 1 / 8]
    assert slopes(12)[8:] == slopes(16)[:8:2]


@pytest.mark.parametrize("causal", [True, False])
def test_values_are_those_of_the_definition(backend: Backend, *, causal: bool) -> None:
    ops = backend.ops
    attention = ComponentFactory(backend).create("attention", ATTENTION)
    host = tree_map(lambda p: draw(*p.shape), attention.declare())
    positions = np.array([[-1, -1, 0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5, 6]], np.int32)
    x = draw(2, 7, 20, seed=5)
    placed = ops.asarray(positions, "int32")
    view = View(placed, placed, visible(ops, placed, placed, causal=causal))
    params = tree_map(lambda p: ops.asarray(p, "float64"), host)
    got, _ = attention(params, ops.asarray(x, "float64"), view)
    for row in range(2):
        real = positions[row] >= 0
        expected = definition(host, x[row, real], causal=causal)
        np.testing.assert_allclose(ops.to_numpy(got)[row, real], expected, **CLOSE)


def definition(params: Any, x: NDArray[np.float64], *, causal: bool) -> NDArray[np.float64]:
    """Head by head and query by query: softmax(q·k / √d - m·|i - j|)·v."""
    time, (heads, groups, d) = len(x), (6, 2, 5)
    q, k, v = (
        (x @ part["weight"].T + part["bias"]).reshape(time, -1, d)
        for part in (params["q"], params["k"], params["v"])
    )
    steepness = [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]
    mixed = np.zeros((time, heads, d))
    for h in range(heads):
        g = h // (heads // groups)
        for i in range(time):
            seen = np.arange(i + 1 if causal else time)
            scores = k[seen, g] @ q[i, h] / np.sqrt(d) - steepness[h] * np.abs(i - seen)
            powers = np.exp(scores - scores.max())
            mixed[i, h] = powers / powers.sum() @ v[seen, g]
    out: NDArray[np.float64] = params["o"]["weight"]
    return mixed.reshape(time, -1) @ out.T


def test_a_later_token_changes_nothing_before_it(model: Model, params: Any) -> None:
    one, other = (logits(model, params, [*PROMPTS[1], last]) for last in (7, 19))
    assert (one[:-1] == other[:-1]).all()
    assert (one[-1] != other[-1]).any()


def test_only_distances_count(model: Model, params: Any) -> None:
    here, there = (logits(model, params, PROMPTS[1], first) for first in (0, 100))
    np.testing.assert_allclose(there, here, **CLOSE)
    swapped = logits(model, params, [2, 8, *PROMPTS[1][2:]])
    assert np.abs(swapped - here)[-1].max() > 1e-3


def test_cached_decoding_equals_each_row_alone(model: Model, params: Any) -> None:
    """Rows of unequal length, padded on the left, in chunks of 3, 3, 1, 1, 1."""
    rows = [[*prompt, 3, 14, 15] for prompt in PROMPTS]
    longest = max(map(len, rows))
    tokens = np.array([[0] * (longest - len(row)) + row for row in rows], np.int32)
    positions = np.array([range(len(r) - longest, len(r)) for r in rows], np.int32).clip(-1)
    state = model.begin(params, len(rows), 4)
    for begin, end in [(0, 3), (3, 6), (6, 7), (7, 8), (8, 9)]:
        chunk = slice(begin, end)
        got, state = model.step(params, tokens[:, chunk], positions[:, chunk], state)
        for row, text in enumerate(rows):
            written = len(text) - (longest - end)
            if written > 0:
                expected = logits(model, params, text[:written])[-1]
                np.testing.assert_allclose(got[row], expected, **CLOSE)


def test_a_memory_is_attended_to_as_multi_head_attention_does(backend: Backend) -> None:
    ops = backend.ops
    options: dict[str, Any] = {"width": 20, "heads": 4, "memory_width": 12}
    factory = ComponentFactory(backend)
    alibi, plain = (
        factory.create("attention", AttentionConfig(kind=kind, **options))
        for kind in ("alibi", "multi_head")
    )
    params = tree_map(lambda p: ops.asarray(draw(*p.shape), "float64"), plain.declare())
    hidden, x = (ops.asarray(draw(1, 3, width), "float64") for width in (12, 20))
    positions = ops.reshape(ops.arange(0, 3, "int32"), (1, 3))
    view = View(positions, positions, visible(ops, positions, positions, causal=False))
    got, expected = (
        ops.to_numpy(kind(params, x, view, memory=kind.remember(params, hidden))[0])
        for kind in (alibi, plain)
    )
    assert (got == expected).all()
