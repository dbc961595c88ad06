"""Mistral, Qwen2, Qwen3 and kin: what tells them from Llama survives the way there and back."""

from __future__ import annotations

from typing import Any

import pytest
from small import HF_CONFIG

from lmkernel.config import ModelConfig, NormConfig, TransformerConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.family import Family, HfConfig
from lmkernel.families.files import hf_configuration
from lmkernel.families.ministral import Ministral
from lmkernel.families.mistral import Mistral
from lmkernel.families.qwen2 import Qwen2
from lmkernel.families.qwen3 import Qwen3
from lmkernel.families.qwen3_5 import Qwen35
from lmkernel.families.qwen_moe import Qwen2Moe
from lmkernel.families.smollm3 import SmolLm3
from lmkernel.families.text_parts import text_values

WINDOWS = {"use_sliding_window": True, "sliding_window": 5}
FULL, SLIDING = "full_attention", "sliding_attention"


def read(family: Family, **changes: Any) -> ModelConfig:
    return family.read(HfConfig({**HF_CONFIG, **changes}))


def stack(config: ModelConfig) -> TransformerConfig:
    assert isinstance(config.decoder, TransformerConfig)
    return config.decoder


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        (Mistral(), {}),
        (Mistral(), {"sliding_window": 7, "initializer_range": 0.1}),
        (Mistral(), {"sliding_window": None, "rope_parameters": {"rope_theta": 7.0}}),
        (Mistral(), {"layer_types": [FULL, SLIDING]}),
        (Mistral(), {"layer_types": [FULL] * 2}),
        (Qwen2Moe(), {**WINDOWS, "layer_types": [SLIDING, FULL], "mlp_only_layers": [1]}),
        (Qwen2Moe(), {"mlp_only_layers": [0]}),
        (Qwen2(), {"tie_word_embeddings": False}),
        (Qwen2(), {**WINDOWS, "max_window_layers": 0}),
        (Qwen2(), {**WINDOWS, "max_window_layers": 1}),
        (Qwen3(), {**WINDOWS, "layer_types": [SLIDING, FULL]}),
        (Qwen3(), {"head_dim": 6, "attention_bias": True, "rms_norm_eps": 1e-4}),
        (Qwen3(), {**WINDOWS, "max_window_layers": 0, "tie_word_embeddings": True}),
    ],
)
def test_configuration_survives_the_way_there_and_back(
    family: Family, changes: dict[str, Any]
) -> None:
    config = read(family, **changes)
    assert family.read(HfConfig(family.write(config))) == config


@pytest.mark.parametrize(
    ("family", "changes", "window"),
    [
        (Mistral(), {}, 4096),
        (Mistral(), {"sliding_window": None}, None),
        (Mistral(), {"sliding_window": 7}, 7),
        (Qwen2(), {"sliding_window": 5}, None),
        (Qwen2(), WINDOWS, None),
        (Qwen2(), {**WINDOWS, "max_window_layers": 2}, None),
        (Qwen2(), {**WINDOWS, "max_window_layers": 0}, 5),
        (Qwen2(), {**WINDOWS, "max_window_layers": 2, "layer_types": [SLIDING] * 2}, 5),
        (Qwen2(), {**WINDOWS, "max_window_layers": 0, "layer_types": [FULL] * 2}, None),
        (Qwen3(), {"sliding_window": 5}, None),
        (Qwen3(), {**WINDOWS, "max_window_layers": 0}, 5),
    ],
)
def test_window(family: Family, changes: dict[str, Any], window: int | None) -> None:
    assert stack(read(family, **changes)).attention.window == window


@pytest.mark.parametrize(
    ("kinds", "windows"),
    [
        (None, [5, 5]),
        ([FULL, FULL], [None, None]),
        ([SLIDING, SLIDING], [5, 5]),
        ([SLIDING, FULL], [5, None]),
        ([FULL, SLIDING], [None, 5]),
        (["attention", SLIDING], [None, 5]),
    ],
)
@pytest.mark.parametrize("family", [Mistral(), Ministral()])
def test_layers_of_mistral_may_say_whether_they_have_the_window(
    family: Family, kinds: list[str] | None, windows: list[int | None]
) -> None:
    """As of transformers' ``AutoConfig``, which takes such a file for one of Ministral."""
    found = stack(read(family, sliding_window=5, layer_types=kinds))
    assert [found.layer(i).attention.window for i in range(2)] == windows


def test_a_mistral_whose_layers_are_alike_is_written_as_one() -> None:
    config = read(Mistral(), sliding_window=5, layer_types=[FULL] * 2)
    written = hf_configuration(config, Mistral(), extra={"layer_types": [FULL] * 2})
    assert "layer_types" not in written
    assert written["sliding_window"] is None


@pytest.mark.parametrize("family", [Mistral(), Ministral(), Qwen3(), Qwen2Moe(), Qwen35()])
@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ([], "expected num_hidden_layers=2 kinds, one for each layer, got '0 of them'"),
        ([FULL], "expected num_hidden_layers=2 kinds, one for each layer, got '1 of them'"),
        ([FULL] * 3, "got '3 of them'"),
        ([FULL, "chunked_attention"], "expected full_attention or .*, got 'chunked_attention'"),
        (FULL, "expected a list of names"),
    ],
)
def test_kinds_of_layers_that_are_none_are_refused(
    family: Family, kinds: object, message: str
) -> None:
    with pytest.raises(CheckpointError, match=f"layer_types: .*{message}"):
        read(family, layer_types=kinds)


@pytest.mark.parametrize("window", [{"sliding_window": 5}, {"use_sliding_window": True}])
def test_windows_of_smollm3_that_contradict_are_refused(window: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="expected full_attention alone where there is no"):
        read(SmolLm3(), layer_types=[FULL, SLIDING], no_rope_layers=[1, 1], **window)


@pytest.mark.parametrize(
    ("changes", "windows"),
    [
        ({}, [5, None]),
        ({"max_window_layers": 0}, [None, None]),
        ({"sliding_window": None}, [None, None]),
        ({"use_sliding_window": False}, [None, None]),
        ({"layer_types": [FULL, SLIDING], "max_window_layers": 0}, [None, 5]),
    ],
)
def test_windows_of_qwens_first_experts_are_of_every_other_layer(
    changes: dict[str, Any], windows: list[int | None]
) -> None:
    found = stack(read(Qwen2Moe(), **{**WINDOWS, **changes}))
    assert [found.layer(i).attention.window for i in range(2)] == windows


@pytest.mark.parametrize(
    ("changes", "windows"),
    [
        ({"max_window_layers": 1}, [None, 5]),
        ({"layer_types": [SLIDING, FULL]}, [5, None]),
        ({"layer_types": ["attention", SLIDING], "max_window_layers": 0}, [None, 5]),
    ],
)
def test_some_layers_have_a_window(changes: dict[str, Any], windows: list[int | None]) -> None:
    found = stack(read(Qwen2(), **WINDOWS, **changes))
    assert [found.layer(i).attention.window for i in range(2)] == windows


def test_queries_keys_and_values_of_qwen2_alone_have_biases() -> None:
    attention = stack(read(Qwen2())).attention
    assert (attention.bias, attention.out_bias, stack(read(Qwen2())).mlp.bias) == (
        True,
        False,
        False,
    )
    assert not stack(read(Mistral())).attention.bias


def test_heads_of_qwen3_have_norms_and_a_width_of_their_own() -> None:
    plain = {key: value for key, value in HF_CONFIG.items() if key != "head_dim"}
    attention = stack(Qwen3().read(HfConfig({**plain, "rms_norm_eps": 1e-4}))).attention
    assert attention.qk_norm == NormConfig(kind="rms", eps=1e-4)
    assert attention.head_dim == 128
    assert stack(read(Qwen2())).attention.qk_norm is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {**WINDOWS, "layer_types": [SLIDING, "chunked"]},
            "expected full_attention or sliding_att",
        ),
        ({**WINDOWS, "layer_types": [SLIDING]}, "layer_types: expected num_hidden_layers=2 kinds"),
        ({"layer_types": [SLIDING] * 2}, "expected full_attention alone where there is no window"),
        (
            {**WINDOWS, "layer_types": [SLIDING] * 2, "sliding_window": None},
            "expected full_attention alone where there is no window",
        ),
        (
            {**WINDOWS, "num_hidden_layers": 10**9},
            "num_hidden_layers: expected at most 10000 layers that differ, got 1000000000",
        ),
        ({**WINDOWS, "layer_types": 3}, "layer_types: expected a list of names, got 3"),
        ({**WINDOWS, "max_window_layers": -1}, "expected an integer of at least 0, got -1"),
    ],
)
def test_windows_that_contradict_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read(Qwen2(), **changes)


def test_of_a_model_with_pictures_every_layer_of_mistral_has_the_window() -> None:
    """As transformers' class of both has it, which reads no kinds of its layers."""
    text = {**HF_CONFIG, "model_type": "mistral", "sliding_window": 5, "layer_types": [FULL] * 2}
    with pytest.warns(UserWarning, match=r"text_config: keys that have no effect: 'layer_types'"):
        values = text_values({"model_type": "mistral3", "text_config": text}, "a test")
    assert stack(Mistral().read(HfConfig(values))).attention.window == 5
