"""Layer by layer a model computes what it computes as a whole."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small import HF_CONFIG, small_config, values_of
from small_bert import small_bert

from lmkernel.backend import load_backend
from lmkernel.errors import InputError
from lmkernel.families.family import HfConfig
from lmkernel.families.gpt2 import Gpt2
from lmkernel.families.mistral import Mistral
from lmkernel.families.qwen2 import Qwen2
from lmkernel.inspection import activations
from lmkernel.model import Model
from lmkernel_conformance.cases.zoo import ZOO

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.config import ModelConfig

TOKENS = np.array([[7, 3, 9, 2, 11]], np.int32)
TARGET = np.array([[1, 8, 5]], np.int32)
GPT2 = {"model_type": "gpt2", "vocab_size": 61, "n_embd": 24, "n_layer": 2, "n_head": 3}
FAMILIES: dict[str, ModelConfig] = {
    "small_bert": small_bert("BertForSequenceClassification", num_labels=3),
    "small_llama": small_config(num_hidden_layers=3),
    "small_gpt2": Gpt2().read(HfConfig({**GPT2, "n_positions": 16})),
    "small_mistral": Mistral().read(HfConfig({**HF_CONFIG, "sliding_window": 3})),
    "small_qwen2": Qwen2().read(HfConfig({**HF_CONFIG, "tie_word_embeddings": False})),
}
CONFIGS = {**ZOO, **FAMILIES}


def inputs(config: ModelConfig) -> np.ndarray:
    return TOKENS if config.embedding.vocab else np.ones((1, 4, 3)) * [[[0.3, -2.0, 1.0]]]


def both(config: ModelConfig, place: Callable[..., Any]) -> tuple[dict[str, Any], np.ndarray]:
    """The activations by name, and what the whole model puts out."""
    model = Model(load_backend(), config)
    backend, ops = model.backend, model.backend.ops
    with backend.scope():
        params = place(model)(values_of(model))
        source = inputs(config)
        given = ops.asarray(source, "int32" if config.embedding.vocab else "float32")
        target = ops.asarray(TARGET, "int32") if config.target_embedding else None
        run = activations(model, params, given, target=target)
        found = {a.name: a.value for a in run}
        whole = model.forward(params, given, target=target)
        return {name: ops.to_numpy(x) for name, x in found.items()}, ops.to_numpy(whole)


@pytest.mark.parametrize("name", sorted(CONFIGS))
@pytest.mark.parametrize("place", [lambda m: m.pack, lambda m: m.place], ids=["packed", "placed"])
def test_the_last_activation_is_the_output(name: str, place: Callable[..., Any]) -> None:
    found, whole = both(CONFIGS[name], place)
    np.testing.assert_array_equal(list(found.values())[-1], whole)


def _layer(side: str, number: int) -> list[str]:
    return [f"{side}layer {number} ({part})" for part in ("attention", "feed-forward")]


def _crossed(side: str, number: int) -> list[str]:
    first, last = _layer(side, number)
    return [first, f"{side}layer {number} (cross-attention)", last]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "llama",
            ["embedding", *_layer("", 0), *_layer("", 1), "final norm", "logits"],
        ),
        (
            "t5",
            [
                *("embedding", *_layer("encoder ", 0), *_layer("encoder ", 1)),
                *("encoder final norm", "decoder embedding"),
                *(*_crossed("decoder ", 0), *_crossed("decoder ", 1)),
                *("decoder final norm", "logits"),
            ],
        ),
        (
            "gru",
            [
                *("embedding", "encoder layer 0", "encoder layer 1", "decoder embedding"),
                *("decoder layer 0", "decoder layer 1", "logits"),
            ],
        ),
    ],
)
def test_activations_are_named_in_order(name: str, expected: list[str]) -> None:
    found, _ = both(CONFIGS[name], lambda m: m.pack)
    assert list(found) == expected


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_attention_is_what_a_layer_without_its_feed_forward_gives(name: str) -> None:
    model = Model(load_backend(), CONFIGS[name])
    part = "decoder" if name == "llama" else "encoder"
    values = values_of(model)
    for down in [n for n in values if n.startswith(f"{part}.layers.1.mlp.down.")]:
        values[down] *= 0
    if name == "bert":  # the layer's last norm, which then has nothing to add
        values[f"{part}.layers.1.mlp_norm.weight"] = np.ones(24)
    with model.backend.scope():
        params = model.place(values)
        run = activations(model, params, model.backend.ops.asarray(TOKENS, "int32"))
        found = {a.name: a.value for a in run}
    attended, after = found["layer 1 (attention)"], found["layer 1 (feed-forward)"]
    np.testing.assert_allclose(np.asarray(attended), np.asarray(after), rtol=0, atol=2e-6)


def test_what_goes_on_is_what_was_perturbed() -> None:
    model = Model(load_backend(), CONFIGS["llama"])
    met = []

    def perturb(name: str, x: Any) -> Any:
        met.append(name)
        return x * 0 if name == "layer 0 (feed-forward)" else x

    with model.backend.scope():
        params = model.place(values_of(model))
        given = model.backend.ops.asarray(TOKENS, "int32")
        run = activations(model, params, given, perturb=perturb)
        found = {a.name: np.asarray(a.value) for a in run}
    assert "layer 0 (attention)" not in met
    assert found["layer 0 (feed-forward)"].any()
    assert not found["layer 1 (attention)"].any()


def test_a_stack_without_layers_is_named() -> None:
    model = Model(load_backend(), CONFIGS["llama"])
    with model.backend.scope():
        params = {**model.place(values_of(model)), "decoder": {"blocks": []}}
        run = activations(model, params, model.backend.ops.asarray(TOKENS, "int32"))
        with pytest.raises(InputError, match="recurrent or dense layers, got kind 'transformer'"):
            list(run)


@pytest.mark.parametrize("name", ["gemma", "t5", "small_bert"])
def test_without_parts_the_rest_is_the_same(name: str) -> None:
    model = Model(load_backend(), CONFIGS[name])
    target = model.backend.ops.asarray(TARGET, "int32") if model.config.target_embedding else None
    with model.backend.scope():
        params, given = model.pack(values_of(model)), model.backend.ops.asarray(TOKENS, "int32")
        whole = list(activations(model, params, given, target=target))
        fewer = list(activations(model, params, given, target=target, parts=False))
    kept = [a for a in whole if a.kind != "part"]
    assert len(kept) < len(whole)
    assert [a.name for a in fewer] == [a.name for a in kept]
    assert all((x.value == y.value).all() for x, y in zip(fewer, kept, strict=True))


def test_each_layer_is_given_what_came_before() -> None:
    model = Model(load_backend(), CONFIGS["llama"])
    with model.backend.scope():
        params, given = model.pack(values_of(model)), model.backend.ops.asarray(TOKENS, "int32")
        run = list(activations(model, params, given, parts=False))
    assert run[0].given is None
    for before, after in pairwise(run):
        assert after.given is not None
        assert after.given.hidden is before.value
    assert [a.kind for a in run] == ["embedding", "layer", "layer", "norm", "logits"]
