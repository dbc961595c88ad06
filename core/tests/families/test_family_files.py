"""A model is written by the family that can express it, whole, or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tokenizers
from letters import letters
from small import HF_CONFIG, small_config, values_of, write_small
from small_bert import HEADS, small_bert

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import open_model
from lmkernel.config import AttentionConfig, InitConfig, ModelConfig, TransformerConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.bert import Bert
from lmkernel.families.family import HfConfig
from lmkernel.families.files import hf_configuration, save_model
from lmkernel.families.gpt2 import Gpt2
from lmkernel.families.llama import Llama
from lmkernel.families.mistral import Mistral
from lmkernel.families.qwen2 import Qwen2
from lmkernel.families.qwen3 import Qwen3
from lmkernel.loading import open_language_model
from lmkernel.model import Model
from lmkernel.tokenizers import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.families.family import Family


def with_stack(config: ModelConfig, **changes: Any) -> ModelConfig:
    """The small Llama with another stack."""
    assert isinstance(config.decoder, TransformerConfig)
    return replace(config, decoder=replace(config.decoder, **changes))


def small_stack() -> TransformerConfig:
    stack = small_config().decoder
    assert isinstance(stack, TransformerConfig)
    return stack


def attention(**changes: Any) -> AttentionConfig:
    return replace(small_stack().attention, **changes)


@pytest.mark.parametrize(
    ("config", "family"),
    [
        (small_config(), Llama),
        (with_stack(small_config(), attention=attention(window=5)), Mistral),
        (with_stack(small_config(), attention=attention(bias=True)), Qwen2),
        (with_stack(small_config(), attention=attention(qk_norm=small_stack().norm)), Qwen3),
        (Gpt2().read(HfConfig({"n_embd": 24, "n_head": 3, "n_layer": 1})), Gpt2),
        *((small_bert(name), Bert) for name in HEADS),
    ],
)
def test_a_family_describes_what_it_can_express(config: ModelConfig, family: type[Family]) -> None:
    described = HfConfig(hf_configuration(config, family()))
    assert family().read(described).decoder == config.decoder


def test_what_a_family_cannot_express_is_refused_by_name() -> None:
    config = with_stack(small_config(), attention=attention(softcap=2.0))
    text = (
        r"the family 'llama' cannot express ModelConfig\.decoder\.attention\.softcap=2\.0, it would"
    )
    with pytest.raises(CheckpointError, match=text):
        hf_configuration(config, Llama())
    with pytest.raises(CheckpointError, match="expected a decoder of transformer layers"):
        hf_configuration(small_bert(next(iter(HEADS))), Gpt2())


def test_what_concerns_training_alone_does_not_count() -> None:
    config = replace(small_config(), init=InitConfig(residual=True))
    document = hf_configuration(with_stack(config, dropout=0.2, remat=True), Llama())
    assert document["initializer_range"] == 0.02


def test_further_keys_stand_beside_the_model() -> None:
    extra = {"hidden_size": 3, "torch_dtype": "float16", "note": "kept", "eos_token_id": 7}
    document = hf_configuration(small_config(), Llama(), extra=extra)
    assert document["hidden_size"] == 24
    assert "torch_dtype" not in document
    assert (document["note"], document["eos_token_id"]) == ("kept", 7)


def test_padding_beyond_the_vocabulary_is_not_written() -> None:
    """transformers makes no table of a model whose padding it lacks."""
    library = tokenizers.Tokenizer.from_str(letters().document)
    library.add_special_tokens(["<a>", "<b>", "<pad>"])
    tokenizer = Tokenizer(library, {"pad_token": "<pad>"})
    assert tokenizer.pad_id == small_config().vocab
    written = hf_configuration(small_config(), Llama(), tokenizer=tokenizer)
    assert written["pad_token_id"] is None


def test_special_ids_are_the_tokenizers() -> None:
    document = hf_configuration(small_config(), Llama(), tokenizer=letters())
    assert [document[f"{role}_token_id"] for role in ("bos", "eos", "pad")] == [1, 2, None]
    bare = hf_configuration(small_config(), Llama())
    assert [bare[f"{role}_token_id"] for role in ("bos", "eos", "pad")] == [None, None, None]


def test_what_is_saved_opens_in_shards(tmp_path: Path) -> None:
    model = Model(load_backend(), small_config())
    values = values_of(model)
    save_model(
        tmp_path / "m",
        model.config,
        values,
        Llama(),
        declared=model.declare(),
        tokenizer=letters(),
        generation_config={"eos_token_id": 9},
        shard_bytes=4000,
    )
    assert len(list((tmp_path / "m").glob("model-*.safetensors"))) > 1
    loaded = open_language_model(tmp_path / "m", load_backend())
    assert loaded.end_ids == (2, 9)
    backend = model.backend
    with backend.scope():
        given = backend.ops.asarray([[3, 1, 4]], "int32")
        expected = backend.ops.to_numpy(model.forward(model.pack(values), given))
    np.testing.assert_array_equal(loaded.logits([[3, 1, 4]]), expected)


def test_a_missing_value_leaves_nothing(tmp_path: Path) -> None:
    model = Model(load_backend(), small_config())
    values = values_of(model)
    del values["decoder.layers.1.mlp.up.weight"]
    with pytest.raises(CheckpointError, match=r"'decoder.layers.1.mlp.up.weight' is missing"):
        save_model(tmp_path / "m", model.config, values, Llama(), declared=model.declare())
    assert list(tmp_path.iterdir()) == []


def test_a_value_of_another_shape_leaves_nothing(tmp_path: Path) -> None:
    model = Model(load_backend(), small_config())
    values = values_of(model)
    values["decoder.norm.weight"] = np.zeros(5, np.float32)
    with pytest.raises(CheckpointError, match=r"'decoder.norm.weight'.*\(24,\), got \(5,\)"):
        save_model(tmp_path / "m", model.config, values, Llama(), declared=model.declare())
    assert list(tmp_path.iterdir()) == []


def test_a_loaded_model_is_saved_with_its_own_keys(tmp_path: Path) -> None:
    model = Model(load_backend(), small_config())
    values = write_small(tmp_path / "a", model, letters())
    loaded = open_language_model(tmp_path / "a", load_backend())
    loaded.save(tmp_path / "b", values, shard_bytes=4000)
    again = open_model(tmp_path / "b")
    assert again.config["eos_token_id"] == HF_CONFIG["eos_token_id"]
    assert len(list((tmp_path / "b").glob("model-*.safetensors"))) > 1
    assert Llama().read(HfConfig(again.config)) == model.config
