"""Attention weights: those by which the model itself mixes the values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from inspected import bare
from small import HF_CONFIG, small_config
from small_bert import small_bert

from lmkernel.components.attention import project_qkv
from lmkernel.components.primitives import normalize
from lmkernel.config import TransformerConfig
from lmkernel.errors import InputError
from lmkernel.families.family import HfConfig
from lmkernel.families.gated import with_changes
from lmkernel.families.mistral import Mistral
from lmkernel.inspection import activations, attention_weights
from lmkernel.inspection.inputs import single_stack
from lmkernel_conformance.cases.zoo import ZOO

ROWS = [[7, 3, 9, 2, 11, 4, 4], [5, 5, 1, 30, 8, 0, 2]]
CONFIGS = {
    "llama": small_config(num_hidden_layers=3),
    "mistral": Mistral().read(HfConfig({**HF_CONFIG, "sliding_window": 3})),
    "sinks": with_changes(small_config(num_hidden_layers=3), attention={"sinks": True}),
    "bert": small_bert(),
    **{name: ZOO[name] for name in ("gemma", "qwen3", "gpt2")},
}


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_values_mixed_by_them_are_what_attention_gives(name: str) -> None:
    model = bare(CONFIGS[name])
    stack, ops = single_stack(CONFIGS[name]), model.model.backend.ops
    assert isinstance(stack, TransformerConfig)
    run = activations(model.model, model.params, ops.asarray(ROWS, "int32"))
    attended = [a for a in run if a.name.endswith("(attention)")]
    weights = attention_weights(model, ROWS)
    assert weights.shape == (stack.layers, 2, stack.attention.heads, 7, 7)
    for own, activation in zip(weights, attended, strict=True):
        expected = _mixed(ops, own, activation, stack)
        np.testing.assert_allclose(expected, activation.value, rtol=0, atol=1e-12)


def _mixed(ops: Any, weights: np.ndarray, activation: Any, stack: TransformerConfig) -> np.ndarray:
    """The output of the attention part, from its weights and its values."""
    x, own = activation.given.hidden, activation.params
    inside = normalize(ops, x, own["attention_norm"], stack.norm) if stack.pre_norm else x
    _, _, values = project_qkv(ops, inside, own["attention"], stack.attention)
    repeated = np.repeat(values, stack.attention.heads // stack.attention.kv_heads, axis=1)
    heads = np.moveaxis(weights @ repeated, 1, 2).reshape(*x.shape[:2], -1)
    out = own["attention"]["o"]
    x = x + ops.linear(heads, out["weight"], out.get("bias"))
    output: np.ndarray = (
        x if stack.pre_norm else normalize(ops, x, own["attention_norm"], stack.norm)
    )
    return output


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_rows_sum_to_one_over_what_is_seen(name: str) -> None:
    weights = attention_weights(bare(CONFIGS[name]), ROWS)
    stack = single_stack(CONFIGS[name])
    assert isinstance(stack, TransformerConfig)
    if stack.attention.sinks:  # which take the rest
        assert (weights.sum(-1) < 1).all()
    else:
        np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-14)
    distance = np.arange(7)[:, None] - np.arange(7)
    window = stack.attention.window or 7
    seen = (distance >= 0) & (distance < window) if stack.causal else np.full((7, 7), fill_value=1)
    assert ((weights > 0) == seen).all()


def test_some_layers_of_one_text() -> None:
    model = bare(CONFIGS["llama"])
    every = attention_weights(model, ROWS[0])
    assert every.shape == (3, 6, 7, 7)
    np.testing.assert_array_equal(attention_weights(model, ROWS[0], [-1, 0]), every[[2, 0]])
    np.testing.assert_array_equal(attention_weights(model, ROWS[0], [1]), every[[1]])
    with pytest.raises(InputError, match="expected numbers in -3 … 2, got"):
        attention_weights(model, ROWS, [3])


def test_weights_come_in_the_models_dtype() -> None:
    assert attention_weights(bare(CONFIGS["llama"]), ROWS).dtype == np.float64


def test_another_kind_of_attention_is_refused() -> None:
    model, config = bare(CONFIGS["llama"]), CONFIGS["llama"]
    assert isinstance(config.decoder, TransformerConfig)
    other = replace(config.decoder.attention, kind="linear")
    model.model.config = replace(config, decoder=replace(config.decoder, attention=other))
    with pytest.raises(InputError, match=r"attention of kind 'multi_head'.*, got 'linear'"):
        attention_weights(model, ROWS)


@pytest.mark.parametrize(
    ("name", "message"),
    [("t5", "got one with both"), ("gru", "got one with both")],
)
def test_models_of_two_stacks_are_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        attention_weights(bare(ZOO[name]), ROWS)


def test_a_recurrent_stack_has_none() -> None:
    encoder = replace(ZOO["gru"], decoder=None, target_embedding=None, head=None)
    with pytest.raises(InputError, match="expected transformer layers, got kind 'recurrent'"):
        attention_weights(bare(encoder), ROWS)
