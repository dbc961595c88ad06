"""A twin of every family: small, of the same structure, the same bits for a seed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import source_configs

import lmkernel as lk
from lmkernel.cli.main import main
from lmkernel.errors import CheckpointError, InputError
from lmkernel.families.sizes import Sizes
from lmkernel.plugins import FamilySpec, default_registry
from lmkernel.verification.twin import truncate, twin

if TYPE_CHECKING:
    from pathlib import Path

SIZES = Sizes(width=512, layers=9, heads=8, inner=1400, context=4096, vocab=30000)
FAMILIES = sorted(default_registry().all(FamilySpec))
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "max_position_embeddings": 8192,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}


BLOOM = {"hidden_size": 512, "n_layer": 9, "n_head": 8, "vocab_size": 30000}


def described(name: str) -> dict[str, Any]:
    """A model of a family; sizes describe neither a BLOOM's context nor a Whisper's frames."""
    family = default_registry().get(FamilySpec, name).create()
    others: dict[str, dict[str, Any]] = {"bloom": BLOOM, "whisper": {}}
    return others[name] if name in others else family.new(SIZES)


def write_config(folder: Path, values: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(values))
    return folder / "config.json"


SEQUENCES = ("bart", "m2m_100", "marian", "mbart", "mt5", "pegasus", "t5", "umt5")
"""Families of an encoder and a decoder."""


@pytest.mark.parametrize("name", SEQUENCES)
def test_an_encoder_and_a_decoder_have_a_twin(name: str, tmp_path: Path) -> None:
    config = write_config(tmp_path / "described", {"model_type": name, **described(name)})
    made = twin(config, tmp_path / "twin")
    model = lk.load(made.path)
    assert model.config.embedding.width < 128
    sizes = made.json()["twin"]
    assert (sizes["encoder layers"], sizes["layers"]) == (4, 4)
    source = np.array([[5, 7, 9]], np.int32)
    with model.backend:
        ids = model.backend.ops.asarray(source, "int32")
        out = model.model.forward(model.params, ids, target=ids)
        logits = model.backend.ops.to_numpy(out)
    assert np.isfinite(logits).all()
    assert 0.02 < logits.std() < 10


def test_a_target_with_tokens_of_its_own_keeps_them(tmp_path: Path) -> None:
    apart = {"decoder_vocab_size": 2900, "share_encoder_decoder_embeddings": False}
    values = {"model_type": "marian", **described("marian"), **apart}
    made = twin(write_config(tmp_path / "described", values), tmp_path / "twin")
    own = made.config.target_embedding
    assert own is not None
    assert (made.config.embedding.vocab, own.vocab) == (211, 197)


@pytest.mark.parametrize("name", source_configs.CONFIGS)
def test_what_sees_or_hears_has_a_twin(name: str, tmp_path: Path) -> None:
    config = write_config(tmp_path / "described", source_configs.CONFIGS[name])
    made = twin(config, tmp_path / "twin")
    again = twin(config, tmp_path / "again")
    values, same = (lk.load(one.path).parameters() for one in (made, again))
    assert all(np.array_equal(values[name], same[name]) for name in values)
    assert sum(x.size for x in values.values()) < 600_000
    widths = {made.config.embedding.width}
    pictures = made.config.pair or made.config.sight
    if pictures is not None:
        widths |= {pictures.pictures.embedding.width}
    assert max(widths) < 128


def test_towers_and_what_joins_them_stay_what_they_were(tmp_path: Path) -> None:
    seen = {
        name: twin(write_config(tmp_path / f"{name} described", values), tmp_path / name).config
        for name, values in source_configs.CONFIGS.items()
        if name in ("clip", "smolvlm", "llava")
    }
    clip, smolvlm, llava = (seen[name] for name in ("clip", "smolvlm", "llava"))
    assert clip.pair is not None
    assert clip.head is not None
    assert clip.pair.pictures.head is not None
    assert clip.head.size == clip.pair.pictures.head.size
    assert smolvlm.sight is not None
    assert (smolvlm.sight.joined, smolvlm.sight.count) == (4, 4)
    assert llava.sight is not None
    # the last layer is left out, as of the large one
    layers: Any = llava.sight.pictures.encoder
    assert llava.sight.depth == layers.layers - 1


@pytest.mark.parametrize(
    "name", [n for n in FAMILIES if n not in (*SEQUENCES, *source_configs.CONFIGS)]
)
def test_every_family_has_a_twin_that_opens(name: str, tmp_path: Path) -> None:
    values = described(name)
    config = write_config(tmp_path / "described", {"model_type": name, **values})
    made = twin(config, tmp_path / "twin")
    model = lk.load(made.path)
    assert model.config.embedding.width < 128
    assert made.json()["twin"]["layers"] >= 4
    logits = model.logits([[5, 7, 9]])
    assert np.isfinite(logits).all()
    assert 0.02 < logits.std() < 10


def test_a_twin_keeps_what_makes_a_model_what_it_is(tmp_path: Path) -> None:
    made = twin(write_config(tmp_path / "a", LLAMA), tmp_path / "twin")
    stack, rotary = made.config.decoder, made.config.embedding.rotary
    assert stack is not None
    assert (stack.attention.heads, stack.attention.kv_heads) == (6, 2)  # type: ignore[union-attr]  # a Llama's
    assert rotary is not None
    assert (rotary.scaling, rotary.factor) == ("llama3", 8.0)
    assert rotary.original_context < made.config.context
    sizes = {k: v for k, v in made.json()["twin"].items() if v is not None}
    assert len(set(sizes.values())) == len(sizes), sizes


def test_a_seed_gives_the_same_bits_and_another_others(tmp_path: Path) -> None:
    config = write_config(tmp_path / "a", LLAMA)
    files = [
        (twin(config, tmp_path / name, seed=seed).path / "model.safetensors").read_bytes()
        for name, seed in (("one", 3), ("two", 3), ("three", 4))
    ]
    assert files[0] == files[1] != files[2]


def test_like_keeps_the_widths_and_layers_are_asked_for(tmp_path: Path) -> None:
    values = {**LLAMA, "vocab_size": 300, "hidden_size": 72}
    made = twin(write_config(tmp_path / "a", values), tmp_path / "t", like=True, layers=2)
    sizes = made.json()["twin"]
    assert (sizes["layers"], sizes["width"], sizes["context"]) == (2, 72, 8192)


def test_a_window_shrinks_so_that_a_prompt_is_beyond_it(tmp_path: Path) -> None:
    values = {**LLAMA, "model_type": "mistral", "sliding_window": 4096, "rope_scaling": None}
    made = twin(write_config(tmp_path / "a", values), tmp_path / "t")
    assert made.json()["twin"]["window"] == 24


def test_truncating_keeps_the_first_layers(tmp_path: Path) -> None:
    made = twin(write_config(tmp_path / "a", LLAMA), tmp_path / "t")
    short = lk.load(truncate(made.path, 2, tmp_path / "short")).parameters()
    whole = lk.load(made.path).parameters()
    assert {n.split(".")[2] for n in short if ".layers." in n} == {"0", "1"}
    assert all(np.array_equal(short[n], whole[n]) for n in short)


def test_the_first_layers_may_be_alike_where_later_ones_differ(tmp_path: Path) -> None:
    kinds = ["sliding_attention", "sliding_attention", "full_attention"]
    values = {**LLAMA, "model_type": "gemma3_text", "layer_types": kinds * 10, "head_dim": 32}
    values.pop("rope_scaling")
    made = twin(write_config(tmp_path / "a", values), tmp_path / "t")
    for layers, alike in ((1, True), (2, True), (3, False)):
        folder = truncate(made.path, layers, tmp_path / str(layers))
        written = json.loads((folder / "config.json").read_text())
        assert written["layer_types"] == kinds[:layers]
        assert (len(set(written["layer_types"])) == 1) == alike


@pytest.mark.parametrize(
    ("changes", "options", "error", "words"),
    [
        ({"model_type": "dinosaur"}, {}, CheckpointError, "unsupported model_type"),
        ({}, {"layers": 31}, InputError, "layers: expected a whole number in 1 … 30, got"),
        ({}, {"layers": 0}, InputError, "layers: expected a whole number in 1 … 30, got"),
        ({}, {"seed": -1}, InputError, "seed: expected"),
        ({"hidden_size": "many"}, {}, CheckpointError, "hidden_size"),
    ],
)
def test_what_cannot_be_made_is_said(
    changes: dict[str, Any],
    options: dict[str, Any],
    error: type[Exception],
    words: str,
    tmp_path: Path,
) -> None:
    config = write_config(tmp_path / "a", {**LLAMA, **changes})
    with pytest.raises(error, match=words):
        twin(config, tmp_path / "t", **options)
    assert not (tmp_path / "t").exists()


def test_the_command_says_what_became_of_each_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path / "a", LLAMA)
    assert main(["twin", str(config), str(tmp_path / "t")]) == 0
    assert "49152     211" in capsys.readouterr().out
    assert main(["twin", str(config), str(tmp_path / "t")]) == 1
    assert "overwrite" in capsys.readouterr().err


def test_a_twin_says_nothing_of_a_rope_that_is_the_usual_one(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"model_type": "llama", "rope_scaling": None}))
    made = json.loads((lk.twin(config, tmp_path / "twin").path / "config.json").read_text())
    assert not {"rope_scaling", "rope_parameters"} & set(made)
