"""GPT-2: configurations and tensors map both ways; weights lie (in, out), three in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small import values_of

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.config import InitConfig, ModelConfig, TransformerConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.family import HfConfig
from lmkernel.families.gpt2 import Gpt2
from lmkernel.families.names import from_ours
from lmkernel.loading import open_language_model
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

GPT2: dict[str, Any] = {
    "model_type": "gpt2",
    "vocab_size": 61,
    "n_embd": 24,
    "n_layer": 2,
    "n_head": 3,
    "n_positions": 16,
    "n_inner": 40,
}


def gpt2(**changes: Any) -> ModelConfig:
    return Gpt2().read(HfConfig({**GPT2, **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"n_inner": None, "activation_function": "gelu", "tie_word_embeddings": False},
        {"resid_pdrop": 0.2, "embd_pdrop": 0.0, "initializer_range": 0.5},
        {"scale_attn_weights": False, "layer_norm_epsilon": 1e-3},
    ],
)
def test_configuration_survives_the_way_there_and_back(changes: dict[str, Any]) -> None:
    config = gpt2(**changes)
    assert Gpt2().read(HfConfig(Gpt2().write(config))) == config


def test_what_is_not_said_is_as_the_family_has_it() -> None:
    config = gpt2(n_inner=None)
    assert isinstance(config.decoder, TransformerConfig)
    assert config.decoder.mlp.hidden == 96
    assert (config.decoder.dropout, config.embedding.dropout) == (0.1, 0.1)
    assert config.decoder.mlp.activation == "gelu_tanh"
    assert config.init == InitConfig(scale=0.02, residual=True)


def test_names_of_the_ecosystem_are_written() -> None:
    written = Gpt2().write(gpt2(resid_pdrop=0.2))
    assert written["activation_function"] == "gelu_new"
    assert written["attn_pdrop"] == 0.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale_attn_by_inverse_layer_idx": True}, "expected False, all that is supported"),
        ({"add_cross_attention": True}, "add_cross_attention: expected False"),
        ({"architectures": ["GPT2DoubleHeadsModel"]}, "expected GPT2LMHeadModel, got 'GPT2Double"),
        ({"resid_pdrop": 1.5}, r"resid_pdrop: expected a rate in \[0, 1\), got 1.5"),
        ({"activation_function": "gelu_fast"}, "activation_function: expected one of gelu_new"),
    ],
)
def test_bad_configuration_names_the_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        gpt2(**changes)


def tensors() -> dict[str, np.ndarray]:
    model = Model(load_backend(), gpt2())
    values = values_of(model)
    biased = {n: v + 0.1 if n.endswith(".bias") else v for n, v in values.items()}
    return dict(from_ours(biased, Gpt2().rules(model.config), model.declare()))


def test_products_are_stored_in_out_and_three_in_one() -> None:
    shapes = {name: x.shape for name, x in tensors().items()}
    assert shapes["transformer.h.1.attn.c_attn.weight"] == (24, 72)
    assert shapes["transformer.h.1.attn.c_attn.bias"] == (72,)
    assert shapes["transformer.h.1.mlp.c_fc.weight"] == (24, 40)
    assert shapes["transformer.h.1.mlp.c_proj.weight"] == (40, 24)
    assert "lm_head.weight" not in shapes


def logits(folder: Path, named: dict[str, np.ndarray]) -> np.ndarray:
    write_directory(folder, config=GPT2, tensors=named.items())
    return open_language_model(folder, load_backend()).logits([[4, 8, 15, 16, 23, 42]])


def test_prefix_buffers_and_a_tied_copy_may_be_there_or_not(tmp_path: Path) -> None:
    plain = tensors()
    bare = {name.removeprefix("transformer."): x for name, x in plain.items()}
    bare["h.0.attn.bias"] = np.tril(np.ones((1, 1, 16, 16), np.float32))
    bare["lm_head.weight"] = plain["transformer.wte.weight"]
    expected = logits(tmp_path / "plain", plain)
    np.testing.assert_array_equal(logits(tmp_path / "bare", bare), expected)


def test_surplus_bias_is_named(tmp_path: Path) -> None:
    surplus = {"transformer.h.2.attn.c_attn.bias": np.zeros(72, np.float32)}
    with pytest.raises(
        CheckpointError, match=r"n_layer: expected 3 layers, for .*h.2.attn.c_attn.bias', got 2"
    ):
        logits(tmp_path / "m", tensors() | surplus)
