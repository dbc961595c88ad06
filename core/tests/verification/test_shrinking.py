"""Small configurations of whatever a stack may be, and defects of all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import Mock

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
    RecurrentConfig,
    RotaryConfig,
    TransformerConfig,
)
from lmkernel.errors import InputError
from lmkernel.model import Model
from lmkernel.verification.defects import candidates
from lmkernel.verification.prompts import choose_prompts
from lmkernel.verification.shrinking import with_every_kind_of_layer, with_small_widths
from lmkernel.verification.sources import choose_sources
from lmkernel.verification.structure import top_transformer, with_few_layers

GLOBAL = AttentionConfig(width=512, heads=8, kv_heads=2, head_dim=128, qk_norm=NormConfig())
LOCAL = replace(GLOBAL, window=4096, rotary=1)
LONG = {"short_factors": tuple(range(1, 65)), "long_factors": tuple(range(2, 66))}
SCALED = {
    "yarn": {"scaling": "yarn", "factor": 16.0, "attention_factor": 1.2773},
    "longrope": {"scaling": "longrope", "attention_factor": 1.19, **LONG},
    "dynamic": {"scaling": "dynamic", "factor": 4.0},
    "linear": {"scaling": "linear", "factor": 8.0},
}


def model(kind: str = "yarn", layers: int = 12, every: int = 6, **changes: Any) -> ModelConfig:
    """Gemma's pattern: of six layers one sees everything, and turns by a scaled RoPE."""
    stack = TransformerConfig(
        width=512,
        layers=layers,
        attention=GLOBAL,
        mlp=MlpConfig(hidden=1408, activation="gelu_tanh"),
        different=tuple(
            LayerConfig(attention=None if i % every == every - 1 else LOCAL) for i in range(layers)
        ),
        output_norm=True,
        residual_scale=0.5,
        causal=True,
    )
    rotary = RotaryConfig(dim=128, theta=1e6, original_context=4096, **SCALED[kind])
    embedding = EmbeddingConfig(
        width=512,
        vocab=9000,
        positions="rotary",
        rotary=rotary,
        more_rotary=(RotaryConfig(dim=128, theta=1e4),),
        scale=512**0.5,
    )
    head = HeadConfig(width=512, size=9000, tied=True, softcap=30.0, scale=0.25)
    whole: dict[str, Any] = {"decoder": stack, "embedding": embedding, "head": head}
    return ModelConfig(**{**whole, "context": 65536, **changes})


def test_a_twin_has_every_kind_of_layer() -> None:
    config = with_every_kind_of_layer(model())
    _, stack = top_transformer(config)
    assert stack.layers == 6
    assert stack.layer(5).attention.window is None
    late = with_every_kind_of_layer(model(layers=24, every=20))
    _, stack = top_transformer(late)
    assert stack.layers == 4
    assert {stack.layer(i).attention.window for i in range(4)} == {4096, None}


@pytest.mark.parametrize("kind", SCALED)
def test_what_was_distinct_stays_so(kind: str) -> None:
    small = with_small_widths(with_every_kind_of_layer(model(kind)))
    _, stack = top_transformer(small)
    local, whole = stack.layer(0).attention, stack.layer(5).attention
    assert (local.window, whole.window) == (24, None)
    assert (whole.heads, whole.kv_heads, whole.head_dim) == (6, 2, 16)
    assert whole.heads * whole.head_dim != whole.width
    [rotary, plain] = small.embedding.rotaries
    assert (rotary.dim, plain.dim, plain.theta) == (16, 16, 1e4)
    # linear scaling knows no original context, and dynamic scaling begins where the context ends
    assert rotary.original_context == (4096 if kind == "linear" else 64)
    assert small.context == 64 if kind == "dynamic" else small.context > 64
    assert len(rotary.short_factors) in (0, 8)
    Model(load_backend("numpy"), small).declare()


@pytest.mark.parametrize("kind", SCALED)
def test_every_defect_is_a_model(kind: str) -> None:
    config = with_small_widths(with_every_kind_of_layer(model(kind)))
    found = candidates(config)
    assert {"rope.scaling", "rope.layers", "attention.window", "embedding.scale"} <= {
        one.id for one in found
    }
    for one in found:
        assert one.variant.config != config
        Model(load_backend("numpy"), one.variant.config or config).declare()
    assert len({one.words for one in found}) == len(found)


def test_a_prompt_is_beyond_every_edge() -> None:
    small = with_small_widths(with_every_kind_of_layer(model()))
    prompts = choose_prompts(small, None)
    assert max(len(row.ids) for row in prompts.rows) > 64
    assert max(row.positions[-1] for row in prompts.rows) == small.context - 1
    assert prompts.unseen == ()
    assert [text.split(",")[0] for text in choose_prompts(model(), None).unseen] == [
        "no prompt is longer than the sliding window",
        "no prompt is longer than the original context of RoPE's scaling",
    ]


def test_texts_of_our_own_fit_and_those_that_are_added_must() -> None:
    small = replace(with_small_widths(with_every_kind_of_layer(model())), context=24)
    letters = Mock(special_ids=frozenset(), chat_template=None)
    letters.encode = lambda text, **_: [ord(letter) % 97 for letter in text]
    found = choose_prompts(small, letters)
    assert max(len(row.ids) for row in found.rows if row.name.startswith("text")) == 24
    with pytest.raises(InputError, match="expected at most 24 tokens, the model's context, got 25"):
        choose_prompts(small, letters, texts=["a" * 25])


def test_a_cache_is_not_asked_across_a_change_of_angles() -> None:
    small = with_small_widths(with_every_kind_of_layer(model("dynamic")))
    asked = [q for q in choose_prompts(small, None).questions if q.prefill]
    assert [len(q.rows[0].ids) for q in asked] == [24]


def test_layers_that_are_not_there_are_refused() -> None:
    with pytest.raises(InputError, match="in 1 … 12, got 13"):
        with_few_layers(model(), 13)


def test_what_is_not_of_transformer_layers_or_reads_vectors_is_refused() -> None:
    recurrent = model(decoder=RecurrentConfig(width=512, input_width=512, layers=1))
    with pytest.raises(InputError, match="expected a model of stacks of transformer layers"):
        top_transformer(recurrent)
    vectors = replace(
        model(), embedding=EmbeddingConfig(kind="vectors", width=model().embedding.width)
    )
    with pytest.raises(InputError, match="of pictures or sounds, got 'vectors'"):
        choose_sources(vectors)
