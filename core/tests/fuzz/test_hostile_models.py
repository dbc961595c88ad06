"""Models that broke their reader once: configurations, GGUF, tokenizers, weights of no numbers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fuzzing.configs import CONFIGS
from fuzzing.models import load, write_model, write_tokenizer
from gguf_samples import write_gguf

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import open_model
from lmkernel.checkpoints.safetensors_writer import write_safetensors
from lmkernel.errors import CheckpointError, InputError, NotFiniteError
from lmkernel.loading import open_language_model
from lmkernel.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_model(tmp_path / "model")
    return tmp_path / "model"


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


# configurations


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"hidden_act": ["silu"]}, "hidden_act: expected one of"),
        ({"hidden_act": {"silu": 1}}, "hidden_act: expected one of"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps: expected a finite number, got nan"),
        ({"rms_norm_eps": float("inf")}, "rms_norm_eps: expected a finite number, got inf"),
        ({"rms_norm_eps": 10**400}, "a number of 401 digits"),
        ({"rope_theta": [1.0]}, "rope_theta: expected a number"),
        ({"head_dim": 7}, "expected an even number, got 7"),
        ({"num_attention_heads": 5}, "expected"),
    ],
)
def test_m10_configurations_are_refused_by_file(
    model: Path, values: dict[str, Any], complaint: str
) -> None:
    config = json.loads((model / "config.json").read_text())
    text = json.dumps({**config, **{k: v for k, v in values.items() if v != 10**400}})
    huge = '"rms_norm_eps": 1' + "0" * 400 + ","
    (model / "config.json").write_text("{" + huge * (10**400 in values.values()) + text[1:])
    if 10**400 in values.values():
        del config["rms_norm_eps"]
        (model / "config.json").write_text("{" + huge + json.dumps(config)[1:])
    with pytest.raises(CheckpointError, match=rf"config\.json: .*{complaint}"):
        load(model)


# GGUF


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tokenizer.ggml.eos_token_id", [2]),
        ("tokenizer.ggml.eot_token_id", [2, 3]),
        ("tokenizer.ggml.pre", ["smollm"]),
        ("tokenizer.ggml.model", ["gpt2"]),
        ("tokenizer.chat_templates", [1]),
        ("tokenizer.ggml.merges", ["h", "e l l"]),
        ("tokenizer.ggml.tokens", "abc"),
        ("llama.block_count", [2]),
        ("llama.block_count", 4_000_000_000),
        ("llama.attention.head_count", 2**31 - 1),
        ("llama.rope.dimension_count", 2**30),
        ("llama.rope.scaling.type", ["linear"]),
        ("general.alignment", [32]),
    ],
)
def test_m11_gguf_fields_of_other_types_are_refused_by_file(
    tmp_path: Path, key: str, value: object
) -> None:
    path = write_gguf(tmp_path / "x.gguf", change={key: value})
    with pytest.raises(CheckpointError, match=r"x\.gguf: "):
        open_model(path).tokenizer()


# tokenizers


def _tokenizer(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def _with_added_id(number: object) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["added_tokens"][0].update(id=number)


def _with_id(number: object) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["model"]["vocab"].update(a=number)


def _with_processor(**step: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.update(post_processor=step)


def _with_template(number: object) -> Callable[[dict[str, Any]], None]:
    special = {"<s>": {"id": "<s>", "ids": [number], "tokens": ["<s>"]}}
    parts = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    step = {"single": parts, "pair": parts, "special_tokens": special}
    return _with_processor(type="TemplateProcessing", **step)


def _with_merges(prefix: str, merge: object) -> Callable[[dict[str, Any]], None]:
    def edit(document: dict[str, Any]) -> None:
        document["model"]["continuing_subword_prefix"] = prefix
        document["model"]["merges"] = [merge]

    return edit


TOKENIZERS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "the largest id": (_with_id(4294967295), "expected an id below"),
    "an id of 33 bits": (_with_id(2**32), "expected an id below"),
    "an id below 0": (_with_id(-1), "expected an id below"),
    "an id that is no whole number": (_with_id(1.5), "expected an id below"),
    "the largest added id": (
        _with_added_id(4294967295),
        "added_tokens: token .*: expected an id below",
    ),
    "an id around a text": (
        _with_template(2**31),
        "post_processor: token '<s>': expected an id below",
    ),
    "an id between two texts": (
        _with_processor(type="BertProcessing", sep=["[SEP]", 2**31], cls=["[CLS]", 1]),
        r"post_processor: token '\[SEP\]': expected an id below",
    ),
    "two tokens of one id": (_with_id(3), "expected an id of its own for each token, got 3"),
    "a prefix amid a character": (_with_merges("x", ["a", "é"]), "begin with the prefix 'x'"),
    "a prefix longer than a token": (_with_merges("#" * 50, "a b"), "begin with the prefix"),
    "a merge of one": (_with_merges("", ["a"]), ""),
    "no model": (lambda document: document.pop("model"), "model: expected an object"),
    "a splitter of length 0": (
        lambda d: d.update(pre_tokenizer={"type": "FixedLength", "length": 0}),
        "chunk size",
    ),
    "a normaliser of nonsense": (
        lambda d: d.update(
            normalizer={"type": "Precompiled", "precompiled_charsmap": "BAAAAP////8AAAAA"}
        ),
        "",
    ),
    "a normaliser that grows": (
        lambda d: d.update(
            normalizer={
                "type": "Sequence",
                "normalizers": [
                    {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}
                ]
                * 9,
            }
        ),
        r"normalizer: expected a text of at most 1000 times the length, got one of 1e\+09 times",
    ),
    "a long text before each": (
        lambda d: d.update(normalizer={"type": "Prepend", "prepend": "x" * 10**6}),
        "normalizer: expected a text of at most",
    ),
    "a decoder that grows": (
        lambda d: d.update(
            decoder={"type": "Replace", "pattern": {"Regex": "a?"}, "content": "b" * 2000}
        ),
        "decoder: expected a text of at most",
    ),
    "special tokens of many ids": (
        lambda d: d.update(
            post_processor={
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "a", "type_id": 0}}] * 100,
                "pair": [],
                "special_tokens": {"a": {"id": "a", "ids": [1] * 100, "tokens": ["a"] * 100}},
            }
        ),
        r"post_processor: expected a text of at most 1000 times the length, got one of 1e\+04",
    ),
    "a search without end": (
        lambda d: d.update(
            pre_tokenizer={
                "type": "Split",
                "pattern": {"Regex": "(a+)+$"},
                "behavior": "Isolated",
                "invert": False,
            }
        ),
        "retry-limit",
    ),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_m12_tokenizers_that_their_library_does_not_survive(tmp_path: Path, name: str) -> None:
    edit, complaint = TOKENIZERS[name]
    write_tokenizer(tmp_path, bytewise=True)
    _tokenizer(tmp_path, edit)
    with pytest.raises(CheckpointError, match=rf"{tmp_path}.*{complaint}"):
        load_tokenizer(tmp_path).encode("a" * 40 + "!")


# messages


def test_a_complaint_of_kilobytes_is_cut(model: Path) -> None:
    change(model / "config.json", model_type="y" * 50_000)
    with pytest.raises(CheckpointError) as caught:
        load(model)
    assert len(str(caught.value)) < 2100
    assert str(model) in str(caught.value)


def test_a_complaint_can_be_printed() -> None:
    assert str(InputError("\x1b[31m\ud800\x9b a\n\t é")) == "\\x1b[31m\\ud800\\x9b a\n\t é"


# weights that are no numbers


def with_weights(folder: Path, edit: Callable[[np.ndarray], np.ndarray]) -> Path:
    """The model with one of its weights changed."""
    stored = open_model(folder).tensors
    name = "model.layers.0.mlp.up_proj.weight"
    changed = [(n, np.array(stored.read(n))) for n in stored.names()]
    edited = [(n, edit(value) if n == name else value) for n, value in changed]
    (folder / "model.safetensors").unlink()
    write_safetensors(folder, edited, dtype="float32", shard_bytes=2**40)
    return folder


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "bool"])
def test_weights_of_integers_are_refused(model: Path, dtype: str) -> None:
    with_weights(model, lambda x: x.astype(dtype))
    with pytest.raises(
        CheckpointError, match=f"up_proj.*expected floating-point values, got {dtype}"
    ):
        load(model)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_results_that_are_no_numbers_are_refused(model: Path, value: float, tmp_path: Path) -> None:
    loaded = open_language_model(
        with_weights(model, lambda x: np.full_like(x, value)), load_backend("numpy")
    )
    asked: tuple[Callable[[], object], ...] = (
        lambda: loaded.logits([1, 2]),
        lambda: loaded.log_probs([1, 2]),
        lambda: loaded.embed("a b"),
    )
    for ask in asked:
        with np.errstate(all="ignore"), pytest.raises(NotFiniteError, match=str(model)):
            ask()
    with np.errstate(all="ignore"):
        assert not np.isfinite(loaded.hidden_states([1, 2])).all()  # where one looks for the place
    with pytest.raises(CheckpointError, match="expected finite values to write"):
        loaded.save(tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_values_that_bfloat16_rounds_to_infinity_are_refused(model: Path, tmp_path: Path) -> None:
    with_weights(model, lambda x: np.full_like(x, np.finfo(np.float32).max))
    with pytest.raises(CheckpointError, match="too large for bfloat16"):
        load(model).save(tmp_path / "again", dtype="bfloat16")


LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers")
"""The names of their number."""


@pytest.mark.parametrize("layers", [10**9, 10**6])
@pytest.mark.parametrize("name", CONFIGS)
def test_m6_a_number_of_layers_that_the_file_does_not_hold_is_refused(
    tmp_path: Path, name: str, layers: int
) -> None:
    write_model(tmp_path / "model", name)
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    part = config.get("text_config", config)  # of two towers, that of texts
    key = next(k for k in LAYERS if k in part)
    part[key] = layers
    for name_of_list in ("layer_types", "no_rope_layers", "mlp_only_layers"):
        part.pop(name_of_list, None)
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=rf"config\.json: {key}: expected .* {layers}"):
        load(tmp_path / "model")
