"""A layer with a window keeps that many slots of its KV cache, and decodes as the whole does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small_windows import WIDE, values_of, windowed, with_delta

from lmkernel.backend import load_backend
from lmkernel.config import LatentConfig, NormConfig, RotaryConfig, TransformerConfig
from lmkernel.families.gated import with_changes
from lmkernel.model import Model
from lmkernel.model.rows import StateRows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.config import ModelConfig

TIME = 14
TOKENS = np.random.default_rng(5).integers(0, 29, (3, TIME)).astype(np.int32)


def whole(config: ModelConfig, positions: np.ndarray) -> np.ndarray:
    """The output for every position, without a cache."""
    model = Model(load_backend(), config, WIDE)
    with model.backend:
        tokens, where = (model.backend.ops.asarray(x, "int32") for x in (TOKENS, positions))
        params = model.place(values_of(model))
        return model.backend.ops.to_numpy(model.forward(params, tokens, positions=where))


def stepped(
    config: ModelConfig, positions: np.ndarray, pieces: Sequence[int], capacity: int
) -> tuple[list[np.ndarray], Any]:
    """The output after each piece, and the last state."""
    model = Model(load_backend(), config, WIDE)
    params = model.pack(values_of(model))
    state, at, found = model.begin(params, 3, capacity), 0, []
    for size in pieces:
        here = slice(at, at + size)
        got, state = model.step(params, TOKENS[:, here], positions[:, here], state)
        found.append(got)
        at += size
    return found, state


def check(config: ModelConfig, positions: np.ndarray, pieces: Sequence[int], room: int) -> None:
    expected, ends = whole(config, positions), np.cumsum(pieces) - 1
    outputs, _ = stepped(config, positions, pieces, room)
    first = -1 if any(r.depends_on_length for r in config.embedding.rotaries) else 0
    for end, got in [*zip(ends, outputs, strict=True)][first:]:
        real = positions[:, end] >= 0
        bound = 1e-12 * np.abs(expected).max()
        np.testing.assert_allclose(got[real], expected[real, end], rtol=0, atol=bound)


def left_padded(*lengths: int) -> np.ndarray:
    rows = [np.arange(TIME) - (TIME - length) for length in lengths]
    return np.maximum(np.array(rows), -1).astype(np.int32)


@pytest.mark.parametrize("pieces", [(14,), (5, 1, 1, 7), (1,) * 14, (9, 1, 1, 1, 1, 1)])
@pytest.mark.parametrize("windows", [(1, 3, None), (4, 4, 4), (13, 14, 40)])
def test_decoding_equals_the_whole(windows: Sequence[int | None], pieces: Sequence[int]) -> None:
    check(windowed(*windows), left_padded(14, 9, 2), pieces, TIME)


def test_a_state_that_grows_keeps_its_windows() -> None:
    check(windowed(2, 5, None), left_padded(14, 6, 11), (1, 2, 3, 1, 1, 6), 1)


def test_padding_between_the_tokens_of_a_row_takes_no_slot() -> None:
    positions = np.full((3, TIME), -1, np.int32)
    positions[0] = np.arange(TIME)
    positions[1, [1, 3, 4, 8, 9, 13]] = [0, 1, 2, 3, 4, 5]  # padded on the left in every piece
    positions[2, 3:5] = [0, 1]  # has ended
    check(windowed(3, 4, 6), positions, (2, 3, 1, 1, 1, 2, 4), TIME)


def test_positions_that_leave_some_out() -> None:
    positions = np.cumsum(np.random.default_rng(2).integers(1, 4, (3, TIME)), 1).astype(np.int32)
    check(windowed(3, 5, 9), positions, (4, 1, 1, 5, 3), TIME)


def test_a_row_that_is_computed_anew_fills_its_windows_again() -> None:
    rotary = RotaryConfig(dim=6, scaling="dynamic", factor=4.0, original_context=6)
    config = windowed(3, None, 5)
    config = replace(config, embedding=replace(config.embedding, rotary=rotary))
    check(config, left_padded(14, 8, 3), (3, 1, 1, 1, 1, 1, 1, 5), 2)


def test_a_fork_goes_on_by_itself() -> None:
    model = Model(load_backend(), windowed(2, 3, 4), WIDE)
    params, where = model.pack(values_of(model)), left_padded(14, 14, 14)
    _, state = model.step(params, TOKENS[:, :9], where[:, :9], model.begin(params, 3, TIME))
    fork = model.fork(state)
    outputs = [model.step(params, TOKENS[:, 9:], where[:, 9:], s)[0] for s in (state, fork)]
    np.testing.assert_array_equal(*outputs)


def test_a_fork_does_not_notice_what_the_other_is_fed() -> None:
    model = Model(load_backend(), windowed(2, 3, 4), WIDE)
    params, where = model.pack(values_of(model)), left_padded(14, 14, 14)
    begun = [model.begin(params, 3, TIME) for _ in range(2)]
    state, alone = (model.step(params, TOKENS[:, :9], where[:, :9], s)[1] for s in begun)
    fork = model.fork(state)
    paused = np.where([[True], [False], [True]], -1, where[:, 9:10]).astype(np.int32)
    model.step(params, TOKENS[::-1, 9:10], paused, state)
    outputs = [model.step(params, TOKENS[:, 9:], where[:, 9:], s)[0] for s in (fork, alone)]
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("room", [6, 14])
def test_a_window_takes_its_own_bytes_and_no_more(room: int) -> None:
    windows = (4, None, 7)
    _, state = stepped(windowed(*windows), left_padded(14, 9, 2), (room,), room)
    layers = state.peek()["layers"]
    each = 3 * 2 * 6 * 8 * 2  # rows, key heads, size of a head, bytes of float64, keys and values
    slots = [min(window or room, room) for window in windows]
    assert [sum(x.nbytes for x in layer.values()) for layer in layers] == [n * each for n in slots]


def test_room_that_is_asked_for_costs_a_window_nothing() -> None:
    model = Model(load_backend(), windowed(2, 2, 2), WIDE)
    state = model.begin(model.pack(values_of(model)), 1, 100_000).peek()
    assert (
        sum(x.nbytes for layer in state["layers"] for x in layer.values()) == 3 * 2 * 2 * 6 * 8 * 2
    )


def latent_model() -> ModelConfig:
    config = windowed(None, None)
    stack = config.decoder
    assert isinstance(stack, TransformerConfig)
    latent = LatentConfig(rank=5, turned=4, value_dim=7, norm=NormConfig())
    own = replace(stack.attention, kind="latent", head_dim=9, latent=latent, interleaved=4)
    return replace(
        config,
        decoder=replace(stack, attention=own, different=()),
        embedding=replace(config.embedding, rotary=RotaryConfig(dim=4)),
    )


def test_latent_attention_keeps_two_small_vectors_of_each_position() -> None:
    config = latent_model()
    check(config, left_padded(14, 9, 2), (5, 1, 1, 4, 3), 3)
    _, state = stepped(config, left_padded(14, 9, 2), (14,), TIME)
    bytes_of = [sum(x.nbytes for x in layer.values()) for layer in state.peek()["layers"]]
    assert bytes_of == [3 * TIME * (5 + 4) * 8] * 2


@pytest.mark.parametrize("kind", ["windows", "sinks", "latent", "delta"])
def test_rows_that_join_a_batch_bring_their_newest_slots(kind: str) -> None:
    config = {
        "windows": windowed(2, 7, None),
        "sinks": with_changes(windowed(None), stack={"different": ()}, attention={"sinks": True}),
        "latent": latent_model(),
        "delta": with_delta(windowed(None)),
    }[kind]
    model = Model(load_backend(), config, WIDE)
    params, where = model.pack(values_of(model)), left_padded(14, 14, 14)
    rows, state = StateRows(model, params), model.begin(params, 2, 4)
    assert rows.sliceable is False
    for row, length in ((0, 5), (1, 9)):
        single = model.begin(params, 1, length)
        given = (x[row : row + 1, :length] for x in (TOKENS, where))
        _, single = model.step(params, *given, single)
        state = rows.insert(state, row, single, slots=range(length))
    expected = whole(config, where)
    for further in range(4):
        at = np.array([[5], [9]]) + further
        tokens = np.take_along_axis(TOKENS[:2], at, 1)
        got, state = model.step(params, tokens, at.astype(np.int32), state)
        wanted = expected[[0, 1], at[:, 0]]
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12 * np.abs(expected).max())
