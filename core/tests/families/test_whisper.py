"""Whisper: its front end, what its files say, and steps beside whole rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small_whisper import DESCRIBED, small_whisper

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.config import AttentionConfig
from lmkernel.errors import CheckpointError, ConfigError, InputError
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import from_ours
from lmkernel.loading import open_language_model
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

BACKEND = load_backend("numpy")
FAMILY = find_family("whisper", "a test")


def encoded(frames: np.ndarray, positions: np.ndarray | None = None) -> Any:
    model, values = small_whisper()
    memory = model.encode(model.pack(values), frames, positions)
    return np.asarray(memory.hidden), np.asarray(memory.positions)


def test_frames_that_are_padding_are_seen_by_nobody() -> None:
    frames = np.random.default_rng(2).normal(size=(1, 18, 10))
    positions = np.where(np.arange(18) < 12, np.arange(18), -1)[None].astype("i4")
    hidden, own = encoded(frames, positions)
    assert own.tolist() == [[0, 1, 2, 3, 4, 5, -1, -1, -1]]
    frames[:, 13:] += 5  # the convolutions see one frame more
    np.testing.assert_allclose(encoded(frames, positions)[0][:, :6], hidden[:, :6], atol=1e-12)


def test_steps_say_what_the_whole_row_says() -> None:
    model, values = small_whisper()
    params, drawn = model.pack(values), np.random.default_rng(7)
    frames, target = drawn.normal(size=(2, 18, 10)), drawn.integers(1, 101, (2, 6))
    ops = BACKEND.ops
    with BACKEND:
        sound, wanted = ops.asarray(frames, "float64"), ops.asarray(target, "int32")
        exact = ops.to_numpy(model.forward(params, sound, target=wanted))
    state = model.begin(params, 2, 8, memory=model.encode(params, frames))
    for i in range(6):
        columns = target[:, i : i + 1].astype("i4"), np.full((2, 1), i, "i4")
        logits, state = model.step(params, *columns, state)
        np.testing.assert_allclose(logits, exact[:, i], atol=1e-11)


@pytest.mark.parametrize(
    ("shape", "said"),
    [((1, 18, 9), r"\(batch, time, 10\)"), ((1, 20, 10), "at most 18 frames, got 20")],
)
def test_frames_that_do_not_fit_are_refused(shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        encoded(np.zeros(shape))


def test_what_is_read_is_written() -> None:
    config = FAMILY.read(HfConfig(DESCRIBED))
    written = FAMILY.write(config)
    assert DESCRIBED.items() <= written.items()
    assert FAMILY.read(HfConfig(written)) == config


def test_keys_have_no_bias_and_the_others_have() -> None:
    names = small_whisper()[1].keys()
    for part in ("encoder.layers.0.attention", "decoder.layers.2.cross"):
        assert f"{part}.k.bias" not in names
        assert {f"{part}.{x}.bias" for x in "qvo"} <= names


def test_keys_without_bias_are_of_one_kind_of_attention_alone() -> None:
    with pytest.raises(ConfigError, match="key_bias"):
        AttentionConfig(kind="single_vector", width=8, heads=2, bias=True, key_bias=False)


def test_a_new_one_by_sizes_and_an_objective_are_refused() -> None:
    from lmkernel.families.sizes import Sizes

    sizes = Sizes(vocab=9, width=8, layers=1, heads=2, inner=8, context=8)
    with pytest.raises(ConfigError, match="cannot be described by sizes"):
        FAMILY.new(sizes)
    with pytest.raises(ConfigError, match="trained by nothing here; sequences is for"):
        find_family("whisper", "a test", "sequences")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_mel_bins": 0}, "num_mel_bins"),
        ({"num_mel_bins": 80}, "encoder.conv1.weight.*expects the shape"),
        ({"max_source_positions": 1500}, "embed_positions.weight.*expects the shape"),
        ({"decoder_layers": 2}, "decoder_layers: expected 3 layers"),
        ({"is_encoder_decoder": False}, "is_encoder_decoder"),
    ],
)
def test_a_file_that_says_something_else_is_refused(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    model, values = small_whisper()
    tensors = from_ours(values, FAMILY.rules(model.config), model.declare())
    write_directory(tmp_path / "made", config={**DESCRIBED, **changes}, tensors=tensors)
    with pytest.raises(CheckpointError, match=said):
        open_language_model(tmp_path / "made", BACKEND)


def test_an_embedding_of_frames_needs_the_size_of_one() -> None:
    config = FAMILY.read(HfConfig(DESCRIBED))
    for changed in (
        {"options": {}},
        {"options": {"bins": "10"}},
        {"context": 0, "positions": "none"},
    ):
        embedding = replace(config.embedding, **changed)
        with pytest.raises(ConfigError, match="bins"):
            Model(BACKEND, replace(config, embedding=embedding))
