"""Layers of the delta rule decode as the whole does, from a state of one size at any length."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small_windows import DELTA, WIDE, values_of, windowed, with_delta

from lmkernel.backend import load_backend
from lmkernel.config import AttentionConfig, DeltaConfig, MlpConfig, TransformerConfig
from lmkernel.errors import ConfigError
from lmkernel.model import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

TIME = 14
TOKENS = np.random.default_rng(7).integers(0, 29, (3, TIME)).astype(np.int32)
MODEL = with_delta(windowed(None))


def whole(positions: np.ndarray) -> np.ndarray:
    """The output for every position, of rows without padding between their tokens."""
    model = Model(load_backend(), MODEL, WIDE)
    with model.backend:
        tokens, where = (model.backend.ops.asarray(x, "int32") for x in (TOKENS, positions))
        params = model.place(values_of(model))
        return model.backend.ops.to_numpy(model.forward(params, tokens, positions=where))


def stepped(positions: np.ndarray, pieces: Sequence[int], room: int) -> list[np.ndarray]:
    """The output after each piece."""
    model = Model(load_backend(), MODEL, WIDE)
    params = model.pack(values_of(model))
    state, at, found = model.begin(params, 3, room), 0, []
    for size in pieces:
        here = slice(at, at + size)
        got, state = model.step(params, TOKENS[:, here], positions[:, here], state)
        found.append(got)
        at += size
    return found


def left_padded(*lengths: int) -> np.ndarray:
    rows = [np.arange(TIME) - (TIME - length) for length in lengths]
    return np.maximum(np.array(rows), -1).astype(np.int32)


@pytest.mark.parametrize("pieces", [(14,), (5, 1, 1, 7), (1,) * 14, (1, 2, 3, 1, 1, 6)])
def test_decoding_equals_the_whole(pieces: Sequence[int]) -> None:
    positions = left_padded(14, 9, 2)
    expected, ends = whole(positions), np.cumsum(pieces) - 1
    for end, got in zip(ends, stepped(positions, pieces, 3), strict=True):
        real = positions[:, end] >= 0
        bound = 1e-12 * np.abs(expected).max()
        np.testing.assert_allclose(got[real], expected[real, end], rtol=0, atol=bound)


def test_padding_between_the_tokens_of_a_row_is_passed_over() -> None:
    columns = [1, 3, 4, 8, 9, 13]  # padded on the left in every piece
    positions = np.full((3, TIME), -1, np.int32)
    positions[0] = np.arange(TIME)
    positions[1, columns] = np.arange(6)
    *_, last = stepped(positions, (2, 3, 1, 1, 1, 2, 4), TIME)
    model = Model(load_backend(), MODEL, WIDE)
    params = model.pack(values_of(model))
    alone = TOKENS[1:2, columns]
    got, _ = model.step(
        params, alone, np.arange(6, dtype=np.int32)[None], model.begin(params, 1, 6)
    )
    np.testing.assert_allclose(last[1], got[0], rtol=0, atol=1e-12 * np.abs(got).max())


def test_padding_after_a_row_changes_nothing() -> None:
    positions = np.where(np.arange(TIME) < [[14], [9], [2]], np.arange(TIME), -1).astype(np.int32)
    full = np.tile(np.arange(TIME, dtype=np.int32), (3, 1))
    real, bound = positions >= 0, 1e-12 * np.abs(whole(full)).max()
    np.testing.assert_allclose(whole(positions)[real], whole(full)[real], rtol=0, atol=bound)


def test_a_state_is_as_large_however_much_room_there_is() -> None:
    model = Model(load_backend(), MODEL, WIDE)
    params = model.pack(values_of(model))
    sizes = []
    for room in (1, 1000):
        layers = model.begin(params, 1, room).peek()["layers"]
        sizes.append([sum(x.nbytes for x in layers[i].values()) for i in (0, 2)])
    inputs, matrix = 2 * (2 * 3 * 4 + 6 * 5), 6 * 4 * 5
    assert sizes == [[8 * (inputs + matrix)] * 2] * 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"heads": 4, "kv_heads": 4}, "a multiple of key_heads=3"),
        ({"bias": True}, "no biases, window"),
        ({"window": 3}, "no biases, window"),
        ({"delta": None}, "a DeltaConfig exactly for its kind"),
        ({"kind": "multi_head"}, "a DeltaConfig exactly for its kind"),
        ({"gated": True}, 'False but for "multi_head" alone'),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        replace(DELTA, **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"taps": 1}, "2 or more"), ({"key_dim": 0}, "key_dim"), ({"eps": 0.0}, "above 0")],
)
def test_sizes_that_make_no_sense_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        DeltaConfig(**{"key_heads": 1, "key_dim": 2, **changes})


def test_an_encoder_cannot_have_it() -> None:
    with pytest.raises(ConfigError, match="causal: expected True, as a matrix holds"):
        TransformerConfig(width=12, layers=1, attention=DELTA, mlp=MlpConfig(hidden=3))


def test_a_gate_is_of_self_attention() -> None:
    with pytest.raises(ConfigError, match="gated"):
        AttentionConfig(width=12, heads=2, memory_width=4, gated=True)
