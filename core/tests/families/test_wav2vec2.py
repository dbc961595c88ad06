"""Wav2Vec2 and HuBERT: what their files say, padding, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small_waves import DESCRIBED, LETTERS, small_waves

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.config import WaveConfig
from lmkernel.errors import CheckpointError, ConfigError, InputError
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import from_ours
from lmkernel.loading import open_language_model
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

BACKEND = load_backend("numpy")
FAMILY = find_family("wav2vec2", "a test")
SEEN, STEP = 220, 160
"""Samples that a vector sees, and from one to the next: 100 + 3 · 40, and 40 · 4."""


def said(samples: np.ndarray, positions: np.ndarray | None = None, **changes: Any) -> np.ndarray:
    """What the small model says of samples ``(batch, time)``."""
    model, values = small_waves(**changes)
    ops = BACKEND.ops
    with BACKEND:
        where = None if positions is None else ops.asarray(positions, "int32")
        x = ops.asarray(samples[..., None], "float64")
        return np.asarray(ops.to_numpy(model.forward(model.pack(values), x, positions=where)))


def test_the_number_of_vectors_is_that_of_the_convolutions() -> None:
    waves = small_waves()[0].config.embedding.waves
    assert waves is not None
    assert (waves.seen, waves.stride) == (SEEN, STEP)
    assert [waves.count(n) for n in (0, 219, 220, 379, 380)] == [0, 0, 1, 1, 2]
    for samples in (220, 379, 380, 1000):
        assert said(np.zeros((1, samples))).shape[1] == waves.count(samples)


def test_padding_is_seen_by_nobody_where_a_norm_is_of_each_vector() -> None:
    samples = np.random.default_rng(2).normal(size=(1, SEEN + 5 * STEP))
    alone = said(samples[:, : SEEN + 2 * STEP + 9])
    count = SEEN + 2 * STEP + 9
    positions = np.where(np.arange(samples.shape[1]) < count, np.arange(samples.shape[1]), -1)
    padded = said(samples, positions[None])
    np.testing.assert_allclose(padded[:, :3], alone, atol=1e-12)
    assert (padded[:, 3:].argmax(-1) == 0).all()  # blank, for certain


def test_a_norm_over_time_sees_padding() -> None:
    samples = np.random.default_rng(2).normal(size=(1, SEEN + 5 * STEP))
    whole = {"feat_extract_norm": "group"}
    alone = said(samples[:, : SEEN + 2 * STEP], **whole)
    positions = np.where(np.arange(samples.shape[1]) < SEEN + 2 * STEP, 1, -1)
    assert np.abs(said(samples, positions[None], **whole)[:, :3] - alone).max() > 1e-3


@pytest.mark.parametrize("shape", [(1, 500), (1, 500, 2)])
def test_what_is_no_samples_is_refused(shape: tuple[int, ...]) -> None:
    model, values = small_waves()
    with BACKEND, pytest.raises(InputError, match=r"samples of shape \(batch, time, 1\)"):
        model.forward(model.pack(values), BACKEND.ops.asarray(np.zeros(shape), "float64"))


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(InputError, match=r"at least 220 samples.*got 219"):
        said(np.zeros((1, 219)))


@pytest.mark.parametrize("name", ["wav2vec2", "hubert"])
@pytest.mark.parametrize("stable", [False, True])
def test_what_is_read_is_written(name: str, *, stable: bool) -> None:
    family = find_family(name, "a test")
    own = family.write(family.read(HfConfig({}))) | {
        "feat_extract_norm": "layer" if stable else "group",
        "do_stable_layer_norm": stable,
        "pad_token_id": 3,
        "hidden_act": "relu",
    }
    config = family.read(HfConfig(own))
    written = family.write(config)
    assert own.items() <= written.items()
    assert family.read(HfConfig(written)) == config
    assert config.head is not None
    assert config.head.blank == 3


def test_the_older_names_of_the_kernel_of_positions_are_read(tmp_path: Path) -> None:
    model, values = small_waves()
    renamed = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for name, value in from_ours(values, FAMILY.rules(model.config), model.declare())
    }
    assert sum(name.endswith(("weight_g", "weight_v")) for name in renamed) == 2
    renamed["wav2vec2.masked_spec_embed"] = np.zeros(24)
    write_directory(tmp_path / "old", config=DESCRIBED, tensors=renamed.items())
    loaded = open_language_model(tmp_path / "old", BACKEND)
    got = loaded.parameters()["embedding.positions.length.weight"]
    np.testing.assert_allclose(got, values["embedding.positions.length.weight"], rtol=1e-6)


def test_a_model_before_its_training_on_texts_is_read_without_its_other_heads(
    tmp_path: Path,
) -> None:
    described = {**DESCRIBED, "architectures": ["Wav2Vec2ForPreTraining"]}
    config = FAMILY.read(HfConfig(described))
    assert config.head is None
    model = Model(BACKEND, config)
    tensors = {
        f"wav2vec2.{name}": value
        for name, value in from_ours(model.initial(1), FAMILY.rules(config), model.declare())
    }
    tensors |= {"quantizer.codevectors": np.zeros((1, 2, 3)), "project_q.weight": np.zeros((2, 2))}
    write_directory(tmp_path / "bare", config=described, tensors=tensors.items())
    assert open_language_model(tmp_path / "bare", BACKEND).config.vocab == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["Wav2Vec2ForXVector"]}, "architectures: expected Wav2Vec2ForCTC or"),
        ({"add_adapter": True}, "add_adapter"),
        ({"adapter_attn_dim": 16}, "adapter_attn_dim"),
        ({"feat_extract_norm": "batch"}, "feat_extract_norm: expected one of group, layer"),
        ({"conv_dim": []}, "conv_dim: expected a list"),
        ({"conv_kernel": [3]}, "kernels"),
        ({"conv_stride": [40, 0]}, "conv_stride"),
        ({"pad_token_id": 99}, "pad_token_id: expected a token below"),
        ({"num_conv_pos_embedding_groups": 5}, "groups"),
        ({"num_hidden_layers": 3}, "num_hidden_layers"),
        ({"num_conv_pos_embeddings": 7}, "original0.*expects the shape"),
        ({"conv_dim": [12, 17]}, "expects the shape"),
    ],
)
def test_a_file_that_says_something_else_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    model, values = small_waves()
    tensors = from_ours(values, FAMILY.rules(model.config), model.declare())
    write_directory(tmp_path / "made", config={**DESCRIBED, **changes}, tensors=tensors)
    with pytest.raises(CheckpointError, match=message):
        open_language_model(tmp_path / "made", BACKEND)


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    model, values = small_waves()
    tensors = from_ours(values, FAMILY.rules(model.config), model.declare())
    write_directory(tmp_path / "made", config={**DESCRIBED, "conv_dilation": 2}, tensors=tensors)
    with pytest.warns(UserWarning, match="conv_dilation"):
        open_language_model(tmp_path / "made", BACKEND)


def test_hubert_has_no_norm_of_batches() -> None:
    family = find_family("hubert", "a test")
    with pytest.raises(CheckpointError, match="conv_pos_batch_norm"):
        family.read(HfConfig({"conv_pos_batch_norm": True}))


def test_sizes_of_samples_are_checked() -> None:
    with pytest.raises(ConfigError, match="strides"):
        WaveConfig(widths=(4, 4), kernels=(3, 3), strides=(2,))
    embedding = small_waves()[0].config.embedding
    with pytest.raises(ConfigError, match="waves"):
        replace(embedding, waves=None)


def test_it_is_trained_on_transcripts() -> None:
    assert [*FAMILY.heads()] == ["transcripts"]
    make = FAMILY.heads()["transcripts"]
    assert make is not None
    assert make(HfConfig(DESCRIBED), ()).size == len(LETTERS)
