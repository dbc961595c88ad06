"""Absent keys have the defaults of transformers' classes; a key is read, inert or refused."""

from __future__ import annotations

from typing import Any

import pytest
from small import HF_CONFIG

from lmkernel.config import TransformerConfig
from lmkernel.errors import CheckpointError, LmkernelError
from lmkernel.families.family import Family, HfConfig, find_family
from lmkernel.families.plugin import FAMILIES

LLAMA = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": None,
    "head_dim": None,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "initializer_range": 0.02,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "pad_token_id": None,
    "rope_theta": 10000.0,
    "rope_parameters": None,
    "rope_scaling": None,
    "original_max_position_embeddings": None,
}
WINDOW = {
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 28,
    "layer_types": None,
}
QWEN = {
    **LLAMA,
    **WINDOW,
    "vocab_size": 151936,
    "intermediate_size": 22016,
    "num_key_value_heads": 32,
    "max_position_embeddings": 32768,
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "llama": {**LLAMA, "attention_bias": False, "mlp_bias": False},
    "mistral": {
        **LLAMA,
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
        "layer_types": None,
    },
    "qwen2": QWEN,
    "qwen3": {**QWEN, "head_dim": 128, "attention_bias": False},
    "gpt2": {
        "architectures": None,
        "vocab_size": 50257,
        "n_positions": 1024,
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "n_inner": None,
        "activation_function": "gelu_new",
        "resid_pdrop": 0.1,
        "embd_pdrop": 0.1,
        "layer_norm_epsilon": 1e-5,
        "initializer_range": 0.02,
        "scale_attn_weights": True,
        "tie_word_embeddings": True,
        "pad_token_id": None,
    },
    "bert": {
        "architectures": None,
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "classifier_dropout": None,
        "tie_word_embeddings": True,
        "id2label": None,
        "num_labels": 2,
    },
}
"""Those of transformers 5.24; `conformance/real/test_config_keys.py` compares with its classes."""
OTHER = {
    "rope_parameters": {"rope_type": "linear", "factor": 2.0},
    "rope_scaling": {"rope_type": "linear", "factor": 2.0},
    "num_key_value_heads": 4,
    "head_dim": 64,
    "n_inner": 100,
    "hidden_act": "relu",
    "activation_function": "relu",
    "architectures": ["BertForMaskedLM"],
    "id2label": {"0": "a", "1": "b"},
    "classifier_dropout": 0.3,
    "layer_types": ["sliding_attention", "full_attention"] * 16,
    "sliding_window": 7,
    "max_window_layers": 0,
    "num_labels": 3,
    "num_attention_heads": 64,
    "n_head": 16,
}
"""Values of keys that are neither numbers to be doubled nor flags to be turned."""
CLASSES = {"architectures": ["BertForSequenceClassification"]}
NEEDS = {
    "num_labels": CLASSES,
    "id2label": CLASSES,
    "classifier_dropout": CLASSES,
    "original_max_position_embeddings": {
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
        }
    },
    "pad_token_id": {"architectures": ["GPT2ForSequenceClassification"]},
    "max_window_layers": {"use_sliding_window": True},
    "layer_types": {"use_sliding_window": True},
    "bert tie_word_embeddings": {"architectures": ["BertForMaskedLM"]},
}
"""What else must be there for a key to matter."""
CASES = [(name, key) for name, keys in DEFAULTS.items() for key in keys]


def family(name: str) -> Family:
    return find_family(name, "a test")


def read(name: str, **values: Any) -> Any:
    return family(name).read(HfConfig(values))


@pytest.mark.parametrize("name", DEFAULTS)
def test_b04_the_table_is_pinned(name: str) -> None:
    keys = family(name).keys
    assert keys is not None
    assert dict(keys.read) == DEFAULTS[name]


@pytest.mark.parametrize(("name", "key"), CASES)
def test_b04_an_absent_key_is_its_default(name: str, key: str) -> None:
    assert read(name) == read(name, **{key: DEFAULTS[name][key]})


def other_value(name: str, key: str) -> Any:
    default = DEFAULTS[name][key]
    if key in OTHER:
        return OTHER[key]
    return not default if isinstance(default, bool) else 512 if default is None else default * 2


@pytest.mark.parametrize(("name", "key"), CASES)
def test_b04_no_key_that_is_read_is_dropped(name: str, key: str) -> None:
    """Another value describes another model."""
    needed: dict[str, Any] = dict(NEEDS.get(f"{name} {key}", NEEDS.get(key, {})))
    if name.startswith("qwen") and key == "sliding_window":
        needed = {"use_sliding_window": True, "max_window_layers": 0}
    if key == "architectures" and name == "gpt2":
        with pytest.raises(CheckpointError, match="architectures: expected GPT2LMHeadModel"):
            read(name, architectures=OTHER[key])
        return
    assert read(name, **needed, **{key: other_value(name, key)}) != read(name, **needed)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("mistral", {"num_key_value_heads": None}, "num_key_value_heads: expected a value, such"),
        ("qwen3", {"head_dim": None}, "head_dim: expected a value, such as 128, got None"),
        ("llama", {"tie_word_embeddings": None}, "tie_word_embeddings: expected a value"),
        ("llama", {"per_layer_config": {"0": {}}}, "per_layer_config: expected None, all that is"),
        ("llama", {"is_encoder_decoder": True}, "is_encoder_decoder: expected False"),
        ("llama", {"partial_rotary_factor": 0.5}, "partial_rotary_factor: expected 1.0"),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "expected False, all that is"),
        ("gpt2", {"n_embd": 24, "hidden_size": 48}, "hidden_size: expected 24, which n_embd says"),
        ("bert", {"pruned_heads": {"1": [0]}}, "pruned_heads: expected {}, all that is supported"),
        ("llama", {"is_causal": False}, "is_causal: expected True, all that is supported, got F"),
        ("llama", {"is_causal": None}, "is_causal: expected True, all that is supported, got None"),
        ("opt", {"is_causal": 0}, "is_causal: expected True, all that is supported, got 0"),
        ("t5", {"is_causal": False}, "is_causal: expected True, all that is supported, got F"),
        ("opt", {"layer_norm_elementwise_affine": None}, "affine: expected True, all that is supp"),
        ("falcon", {"vocab_size": None}, "vocab_size: expected a value, such as 65024, got None"),
        ("falcon", {"layer_norm_epsilon": None}, "the key 'layer_norm_epsilon' is missing"),
        ("qwen3_5_text", {"hidden_act": "gelu"}, "hidden_act: expected silu, where there are lay"),
        ("deepseek_v3", {"head_dim": 8}, "head_dim: expected qk_rope_head_dim=64, got 8"),
    ],
)
def test_b04_what_is_not_supported_is_refused_by_name(
    name: str, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=r"^config\.json: ") as caught:
        read(name, **change)
    assert message in str(caught.value)


def test_b04_null_is_no_window_where_the_class_allows_it() -> None:
    decoder = read("mistral", sliding_window=None).decoder
    assert isinstance(decoder, TransformerConfig)
    assert decoder.attention.window is None
    assert read("qwen2", num_key_value_heads=None).decoder.attention.kv_heads == 32


def test_b04_a_causal_tower_of_texts_says_so() -> None:
    with pytest.raises(CheckpointError, match=r"text_config: is_causal: expected True, all that"):
        read("clip", text_config={"is_causal": False})
    keys = family("siglip").keys
    assert keys is not None
    for part in keys.parts.values():
        part.complete(HfConfig({"is_causal": False}))  # their tokens and patches see each other


FLAGS = [
    (name, key)
    for name in FAMILIES
    for keys in [family(name).keys]
    for key in sorted(keys.nullable if keys else ())
    if keys and isinstance(keys.read[key], bool)
]


def test_b04_there_are_flags_that_may_be_null() -> None:
    assert {("falcon", "parallel_attn"), ("deepseek_v3", "rope_interleave")} <= {*FLAGS}


@pytest.mark.parametrize(("name", "key"), FLAGS)
def test_b04_null_is_not_true(name: str, key: str) -> None:
    assert read(name, **{key: None}) == read(name, **{key: False})


@pytest.mark.parametrize(
    "name", ["bert", "distilbert", "modernbert", "deberta-v2", "vit", "dinov2", "wav2vec2"]
)
@pytest.mark.parametrize("said", [False, True, None])
def test_b04_where_everything_is_seen_causality_says_nothing(name: str, said: bool | None) -> None:
    assert read(name, is_causal=said) == read(name)
    keys = family(name).keys
    assert keys is not None
    assert keys.unknown(HfConfig({"is_causal": said})) == []


def test_b04_layers_that_all_attend_have_any_activation() -> None:
    kinds = {"num_hidden_layers": 1, "layer_types": ["full_attention"]}
    decoder = read("qwen3_5_text", hidden_act="gelu", **kinds).decoder
    assert isinstance(decoder, TransformerConfig)
    assert decoder.mlp.activation == "gelu"


def test_b04_a_share_of_the_size_that_is_named_is_turned() -> None:
    sizes = {"hidden_size": 64, "num_attention_heads": 2}
    for size, turned in ((None, 8), (16, 4), (64, 16)):
        embedding = read("gpt_neox", **sizes, head_dim=size).embedding
        assert embedding.rotary.dim == turned


def test_b04_another_name_of_a_key_is_read() -> None:
    assert read("gpt2", hidden_size=24, num_hidden_layers=3) == read("gpt2", n_embd=24, n_layer=3)
    assert read("gpt2", hidden_size=24, n_embd=24) == read("gpt2", n_embd=24)


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
@pytest.mark.parametrize("said", ["float99", "x", "", 7, True, ["float32"]])
def test_what_names_no_dtype_is_refused(key: str, said: Any) -> None:
    with pytest.raises(CheckpointError, match=rf"{key}: expected the name of a dtype, such as"):
        find_family("llama", "here").read(HfConfig({**HF_CONFIG, key: said}))


@pytest.mark.parametrize(
    "said", ["bfloat16", "float16", "torch.float32", "auto", "float8_e4m3fn", None, {"": "float32"}]
)
def test_the_name_of_a_dtype_changes_nothing(said: Any) -> None:
    plain = find_family("llama", "here").read(HfConfig(HF_CONFIG))
    assert find_family("llama", "here").read(HfConfig({**HF_CONFIG, "torch_dtype": said})) == plain


def test_keys_without_a_place_are_listed() -> None:
    keys = family("llama").keys
    assert keys is not None
    values = {**HF_CONFIG, "use_cache": True, "sliding_window": 7, "rope_scaling": {"factor": 2.0}}
    assert keys.unknown(HfConfig(values)) == ["sliding_window", "rope_scaling.factor"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": ["silu"]}, "hidden_act: expected one of silu"),
        ({"hidden_act": {}}, "hidden_act: expected one of silu"),
        ({"rms_norm_eps": 10**400}, "rms_norm_eps: expected a number of at most 3.403e+38, got an"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps: expected a finite number, got nan"),
        ({"rope_theta": float("inf")}, "rope_theta: expected a finite number, got inf"),
        ({"rope_theta": 1e-307}, "rope_theta: expected a number above 1, got 1e-307"),
        ({"vocab_size": 10**5000}, "vocab_size: expected an integer below 2147483648, got an int"),
        ({"vocab_size": 2**31}, "vocab_size: expected an integer below 2147483648"),
        ({"num_attention_heads": True}, "num_attention_heads: expected a positive integer"),
        ({"initializer_range": -1}, "scale: expected a positive number"),
        ({"rope_scaling": {"rope_type": ["linear"]}}, "rope_scaling: rope_type: expected one of"),
        ({"rope_scaling": [1]}, "rope_scaling: expected an object, got [1]"),
    ],
)
def test_m10_numbers_and_types_that_make_no_sense_are_refused(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(LmkernelError) as caught:
        read("llama", **change)
    assert message in str(caught.value)


@pytest.mark.parametrize("value", [0, -24.0, -1e-30])
def test_what_a_root_is_taken_of_is_above_zero(value: float) -> None:
    config = HfConfig({"query_pre_attn_scalar": value})
    with pytest.raises(LmkernelError) as caught:
        config.positive_number("query_pre_attn_scalar")
    assert f"query_pre_attn_scalar: expected a number above 0, got {value}" in str(caught.value)


def test_a_model_that_is_initialised_with_zeros_is_read() -> None:
    assert read("llama", initializer_range=0.0).init is None
