"""Stacks as families have them: each option changes the outcome, and steps equal the whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    HeadConfig,
    LayerConfig,
    MlpConfig,
    ModelConfig,
    NormConfig,
    PrecisionPolicy,
    RotaryConfig,
    TransformerConfig,
)
from lmkernel.errors import ConfigError
from lmkernel.model import Model
from lmkernel.parameters import flatten

if TYPE_CHECKING:
    from collections.abc import Callable

WIDE = PrecisionPolicy(params="float64", compute="float64", output="float64")
TOKENS = np.array([[3, 9, 27, 20, 5, 11], [1, 4, 16, 3, 12, 28]], np.int32)
POSITIONS = np.array([[-1, -1, 0, 1, 2, 3], [0, 1, 2, 3, 4, 5]], np.int32)

_ATTENTION = AttentionConfig(width=12, heads=4, kv_heads=2, head_dim=6)
_STACK = TransformerConfig(
    width=12, layers=3, attention=_ATTENTION, mlp=MlpConfig(hidden=10), causal=True
)
PLAIN = ModelConfig(
    embedding=EmbeddingConfig(width=12, vocab=29, positions="rotary", rotary=RotaryConfig(dim=6)),
    decoder=_STACK,
    head=HeadConfig(width=12, size=29),
)


def _stack(**changes: Any) -> ModelConfig:
    return replace(PLAIN, decoder=replace(_STACK, **changes))


def _attention(**changes: Any) -> ModelConfig:
    return _stack(attention=replace(_ATTENTION, **changes))


def _layers(*own: dict[str, Any]) -> tuple[LayerConfig, ...]:
    return tuple(LayerConfig(attention=replace(_ATTENTION, **changes)) for changes in own)


def _rotary(**changes: Any) -> ModelConfig:
    embedding = replace(PLAIN.embedding, rotary=RotaryConfig(dim=6, **changes))
    return replace(PLAIN, embedding=embedding)


def _two_rotaries() -> ModelConfig:
    more = (RotaryConfig(dim=6, theta=50.0),)
    embedding = replace(PLAIN.embedding, more_rotary=more)
    return replace(_stack(different=_layers({"rotary": 1}, {}, {"rotary": 1})), embedding=embedding)


_FACTORS = {"short_factors": (1.0, 1.5, 2.0), "long_factors": (2.0, 4.0, 6.0)}
VARIANTS: dict[str, ModelConfig] = {
    "window in some layers": _stack(different=_layers({"window": 2}, {}, {"window": 3})),
    "no rotary in one layer": _stack(different=_layers({}, {"rotary": None}, {})),
    "two rotaries": _two_rotaries(),
    "another network in one layer": _stack(
        different=(LayerConfig(), LayerConfig(mlp=MlpConfig(hidden=7)), LayerConfig())
    ),
    "norms before and after": _stack(output_norm=True),
    "norms after": _stack(pre_norm=False, output_norm=True),
    "norms of sums": _stack(pre_norm=False),
    "parallel": _stack(parallel=True),
    "parallel with one norm": _stack(parallel=True, shared_norm=True),
    "scaled residuals": _stack(residual_scale=0.22),
    "norms of queries and keys, whole": _attention(qk_norm=NormConfig(), qk_norm_whole=True),
    "norms of queries and keys, by head": _attention(qk_norm=NormConfig()),
    "neighbours turn": _attention(interleaved=6),
    "four neighbours turn": replace(
        _attention(interleaved=4),
        embedding=replace(PLAIN.embedding, rotary=RotaryConfig(dim=4)),
    ),
    "linear biases": _attention(alibi=1.0, rotary=None),
    "scaled logits": replace(PLAIN, head=HeadConfig(width=12, size=29, scale=0.25)),
    "sinks": _attention(sinks=True),
    "sinks beside windows": _stack(
        different=_layers({"sinks": True, "window": 2}, {"sinks": True}, {"window": 3})
    ),
    "gates with bounds": _stack(mlp=MlpConfig(hidden=10, limit=0.3, slope=1.7, shift=1.0)),
    "longrope": _rotary(scaling="longrope", original_context=4, **_FACTORS),
    "dynamic": _rotary(scaling="dynamic", factor=40.0, original_context=3),
}


def _values(model: Model) -> dict[str, Any]:
    generator = np.random.default_rng(11)
    declared = flatten(model.declare())
    return {name: generator.normal(0.3, 0.6, p.shape) for name, p in sorted(declared.items())}


def _whole(config: ModelConfig) -> np.ndarray:
    model = Model(load_backend(), config, WIDE)
    with model.backend:
        tokens, positions = (model.backend.ops.asarray(x, "int32") for x in (TOKENS, POSITIONS))
        params = model.place(_values(model))
        return model.backend.ops.to_numpy(model.forward(params, tokens, positions=positions))


@pytest.mark.parametrize("name", VARIANTS)
def test_the_option_shows(name: str) -> None:
    plain, varied = _whole(PLAIN), _whole(VARIANTS[name])
    assert np.abs(varied - plain)[1, 3:].max() > 1e-3 * np.abs(plain).max()


@pytest.mark.parametrize("pieces", [(6,), (2, 4), (4, 1, 1), (1, 1, 1, 1, 1, 1)])
@pytest.mark.parametrize("name", VARIANTS)
def test_steps_equal_the_whole(name: str, pieces: tuple[int, ...]) -> None:
    model = Model(load_backend(), VARIANTS[name], WIDE)
    params = model.pack(_values(model))
    state, at = model.begin(params, 2, 6), 0
    for size in pieces:
        here = slice(at, at + size)
        got, state = model.step(params, TOKENS[:, here], POSITIONS[:, here], state)
        at += size
    expected = _whole(VARIANTS[name])[:, -1]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_a_fork_of_a_row_that_outgrows_its_context_goes_on_alone() -> None:
    model = Model(load_backend(), VARIANTS["longrope"], WIDE)
    params = model.pack(_values(model))
    _, state = model.step(params, TOKENS[:, :5], POSITIONS[:, :5], model.begin(params, 2, 6))
    fork = model.fork(state)
    first, _ = model.step(params, TOKENS[:, 5:], POSITIONS[:, 5:], state)
    second, _ = model.step(params, TOKENS[:, 5:], POSITIONS[:, 5:], fork)
    np.testing.assert_array_equal(first, second)


def test_linear_biases_tell_distances_alone() -> None:
    model = Model(load_backend(), VARIANTS["linear biases"], WIDE)
    params, ops = model.place(_values(model)), model.backend.ops
    with model.backend:
        tokens = ops.asarray(TOKENS, "int32")
        outputs = [
            ops.to_numpy(
                model.forward(
                    params, tokens, positions=ops.asarray(np.arange(6)[None] + [[s], [s]], "int32")
                )
            )
            for s in (0, 1000)
        ]
    np.testing.assert_allclose(*outputs, rtol=0, atol=1e-12 * np.abs(outputs[0]).max())


@pytest.mark.parametrize(
    ("heads", "expected"),
    [(4, [2**-2, 2**-4, 2**-6, 2**-8]), (3, [2**-4, 2**-8, 2**-2]), (1, [2**-8])],
)
def test_slopes_of_linear_biases(heads: int, expected: list[float]) -> None:
    from lmkernel.components.positions import linear_biases

    backend = load_backend()
    with backend:
        ops = backend.ops
        where = [ops.asarray(np.array([[p]]), "int32") for p in (1, 0)]
        biases = ops.to_numpy(linear_biases(ops, *where, heads, 1.0, "float64"))
    np.testing.assert_allclose(-biases[0, :, 0, 0], expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: _stack(different=(LayerConfig(),)), "different: expected none, or one of 3"),
        (lambda: _stack(parallel=True, pre_norm=False), "parallel: expected pre-norm"),
        (lambda: _stack(shared_norm=True), "shared_norm: expected parallel"),
        (lambda: _attention(rotary=-1), "rotary: expected None or 0 or more"),
    ],
)
def test_contradictions_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
