"""The formats of models: their configurations, weights, tokenizers, adapters, and GGUF."""

from __future__ import annotations

import contextlib
import functools
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from gguf_samples import write_gguf
from letters import letters
from vocabulary_samples import SPECIAL, TEMPLATE, byte_level, sentencepiece

from fuzzing.configs import CONFIGS
from fuzzing.formats import Format
from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import open_model
from lmkernel.checkpoints.safetensors import open_safetensors
from lmkernel.checkpoints.safetensors_writer import write_safetensors
from lmkernel.errors import InputError
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.files import save_model
from lmkernel.inspection.sentence_settings import read_sentence_settings
from lmkernel.loading import open_language_model
from lmkernel.model import Model
from lmkernel.tokenizers import load_tokenizer
from lmkernel.training.config import LoraConfig
from lmkernel.training.run.peft import write_adapters
from lmkernel.training.step.trainable import Adapters

if TYPE_CHECKING:
    from lmkernel.language_model import LanguageModel

__all__ = ["FORMATS", "load", "write_model"]

MESSAGES = ({"role": "user", "content": "a b"}, {"role": "assistant", "content": "c"})


def write_model(folder: Path, name: str = "llama", shard_bytes: int = 2**40) -> None:
    """A small model of a family, with a tokenizer of letters."""
    family = find_family(name, "a test")
    config = family.read(HfConfig(CONFIGS[name]))
    model = Model(load_backend("numpy"), config)
    save_model(
        folder,
        config,
        model.initial(5),
        family,
        declared=model.declare(),
        tokenizer=letters(),
        extra_config=CONFIGS[name],
        generation_config={"eos_token_id": [2], "temperature": 0.6, "_from_model_config": True},
        shard_bytes=shard_bytes,
        overwrite=True,
    )


def load(path: Path) -> LanguageModel:
    """Opened as a user does, on the default backend."""
    return open_language_model(path, load_backend("numpy"))


def use_model(path: Path) -> object:
    """Loaded, described, asked, and written again."""
    model = load(path)
    str(model.describe())
    with contextlib.suppress(InputError):  # about what it is asked, not about a file
        model.logits([1, 2][: model.config.context or 2])
        if model.config.decoder is not None:
            model.log_probs([1, 2, 3])
    with tempfile.TemporaryDirectory() as place:
        model.save(Path(place) / "again")
    return model


def use_chat(folder: Path) -> object:
    model = load(folder)
    with contextlib.suppress(InputError):
        str(model.chat([*MESSAGES, MESSAGES[0]], max_new_tokens=2))
    return model.end_ids


def write_tokenizer(folder: Path, *, bytewise: bool) -> None:
    (byte_level() if bytewise else sentencepiece()).save(str(folder / "tokenizer.json"))
    config = {"eos_token": SPECIAL[2] if bytewise else "</s>", "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "special_tokens_map.json").write_text(json.dumps({"bos_token": {"content": "<s>"}}))
    (folder / "chat_template.jinja").write_text(TEMPLATE)


def use_tokenizer(folder: Path) -> object:
    tokenizer = load_tokenizer(folder)
    ids = tokenizer.encode("the naïve café 你好, 12 <|im_end|>\n x")
    stream = tokenizer.stream()
    for token in ids:
        stream.push(token)
    tokenizer.encode_many(["a", ""])
    tokenizer.encode("the cat sat", limit=2)
    described = (tokenizer.decode(ids), tokenizer.digest, tokenizer.special_ids, tokenizer.eos_ids)
    with tempfile.TemporaryDirectory() as place:
        tokenizer.save(Path(place))
        return described, load_tokenizer(place)


def write_adapted(folder: Path) -> None:
    """Adapters beside the model that they adapt."""
    write_model(folder / "base")
    origin = load(folder / "base").origin
    declared = Model(load_backend("numpy"), origin.config).declare()
    config = LoraConfig(rank=2, alpha=4.0)
    made = Adapters(declared, config)
    values = {n: np.full(p.shape, 0.1, np.float32) for n, p in made.declare().items()}
    (folder / "adapted").mkdir()
    base = str(folder / "base")
    write_adapters(folder / "adapted", values, config, origin.rules, declared, base=base)


def write_sentences(folder: Path) -> None:
    """Everything that sentence-transformers puts beside a model."""
    kinds = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"), ("Normalize", "3")
    listed = [{"idx": i, "type": f"models.{kind}", "path": p} for i, (kind, p) in enumerate(kinds)]
    documents: dict[str, object] = {
        "modules.json": listed,
        "1_Pooling/config.json": {"pooling_mode_mean_tokens": True, "include_prompt": True},
        "2_Dense/config.json": {"in_features": 4, "out_features": 2, "bias": True},
        "sentence_bert_config.json": {"max_seq_length": 8},
        "config_sentence_transformers.json": {
            "prompts": {"query": "q: "},
            "default_prompt_name": "query",
        },
    }
    for name, document in documents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(document))
    dense = {"linear.weight": np.ones((2, 4), np.float32), "linear.bias": np.ones(2, np.float32)}
    write_safetensors(folder / "2_Dense", dense.items(), dtype="float32", shard_bytes=2**40)


def use_gguf(path: Path) -> object:
    files = open_model(path / "x.gguf")
    tokenizer = files.tokenizer()
    ids = tokenizer.encode("hell <|end|> é")
    model = load(path / "x.gguf")
    return tokenizer.decode(ids), model.logits([1, 2][: model.config.context or 2]), model.end_ids


def write_scored(folder: Path) -> None:
    """A GGUF file with the other kind of tokenizer."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256)), "\u2581", "a", "aa"]
    change = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": None,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [float(-n) for n in range(len(tokens))],
        "tokenizer.ggml.token_type": [2, 3, 3, *[6] * 256, 1, 1, 1],
        "tokenizer.ggml.merges": None,
        "tokenizer.ggml.eot_token_id": 2,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    write_gguf(folder / "x.gguf", change=change)


def read_all(folder: Path) -> object:
    tensors = open_safetensors(folder)
    assert tensors is not None
    return [(tensors.shape(n), tensors.dtype(n), tensors.read(n).sum()) for n in tensors.names()]


def write_tensors(folder: Path) -> None:
    """One file with tensors of several types."""
    named = {
        "a.weight": np.ones((2, 3), np.float32),
        "b": np.zeros(5, np.int64),
        "c": np.ones((0, 4), np.float32),
        "d": np.ones(3, np.bool_),
    }
    write_safetensors(folder, named.items(), dtype="bfloat16", shard_bytes=2**40)
    data = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    text = data[8 : 8 + length].rstrip()  # a long padding would take most of the changes
    (folder / "model.safetensors").write_bytes(
        len(text).to_bytes(8, "little") + text + data[8 + length :]
    )


def write_merged(folder: Path) -> None:
    """A GGUF file with a tokenizer of bytes and merges."""
    write_gguf(folder / "x.gguf")


FORMATS = (
    Format("safetensors", write_tensors, ("model.safetensors",), read_all),
    Format(
        "index",
        functools.partial(write_model, shard_bytes=9000),
        ("model.safetensors.index.json",),
        read_all,
    ),
    *(
        Format(
            f"config {name}",
            functools.partial(write_model, name=name),
            ("config.json",),
            use_model,
        )
        for name in CONFIGS
    ),
    Format("weights", write_model, ("model.safetensors",), use_model),
    Format(
        "chat files",
        write_model,
        (
            *("generation_config.json", "tokenizer_config.json", "special_tokens_map.json"),
            *("tokenizer_config.json", "generation_config.json", "tokenizer.json"),
        ),
        use_chat,
    ),
    *(
        Format(
            name,
            functools.partial(write_tokenizer, bytewise=bytewise),
            ("tokenizer.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
            use_tokenizer,
        )
        for name, bytewise in (("tokenizer bytes", True), ("tokenizer sentencepiece", False))
    ),
    Format(
        "adapters",
        write_adapted,
        ("adapted/adapter_config.json", "adapted/adapter_model.safetensors"),
        lambda folder: use_model(folder / "adapted"),
    ),
    Format(
        "sentences",
        write_sentences,
        (
            *("modules.json", "1_Pooling/config.json", "sentence_bert_config.json"),
            *("2_Dense/config.json", "2_Dense/model.safetensors"),
            "config_sentence_transformers.json",
        ),
        read_sentence_settings,
    ),
    Format("gguf", write_merged, ("x.gguf",), use_gguf),
    Format("gguf scored", write_scored, ("x.gguf",), use_gguf),
)
