"""Checkpoints: a Hugging Face directory is read as it was written, down to the logits."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.checkpoints import read_directory, write_directory
from lmkernel.loading import open_language_model
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.inputs import normal, tokens, uniform
from lmkernel_conformance.oracle import model as oracle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lmkernel_conformance.subject import Subject

Host = Any

_WIDTH, _HEADS, _KV, _HEAD, _HIDDEN, _VOCAB, _LAYERS = 24, 6, 2, 4, 20, 31, 2


def _config(*, tied: bool) -> dict[str, Any]:
    """The config.json of a small Llama; its theta, ε and RoPE scaling are no library's defaults."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": _WIDTH,
        "intermediate_size": _HIDDEN,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _KV,
        "head_dim": _HEAD,
        "hidden_act": "silu",
        "rms_norm_eps": 3e-4,
        "attention_bias": True,
        "vocab_size": _VOCAB,
        "max_position_embeddings": 64,
        "tie_word_embeddings": tied,
        "rope_theta": 5e5,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    }


def _shapes(*, tied: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of tensors as transformers writes them."""
    q, kv = _HEADS * _HEAD, _KV * _HEAD
    yield "model.embed_tokens.weight", (_VOCAB, _WIDTH)
    for i in range(_LAYERS):
        at = f"model.layers.{i}"
        for name, out, into in (
            ("q", q, _WIDTH),
            ("k", kv, _WIDTH),
            ("v", kv, _WIDTH),
            ("o", _WIDTH, q),
        ):
            yield f"{at}.self_attn.{name}_proj.weight", (out, into)
            yield f"{at}.self_attn.{name}_proj.bias", (out,)
        yield f"{at}.mlp.gate_proj.weight", (_HIDDEN, _WIDTH)
        yield f"{at}.mlp.up_proj.weight", (_HIDDEN, _WIDTH)
        yield f"{at}.mlp.down_proj.weight", (_WIDTH, _HIDDEN)
        yield f"{at}.input_layernorm.weight", (_WIDTH,)
        yield f"{at}.post_attention_layernorm.weight", (_WIDTH,)
    yield "model.norm.weight", (_WIDTH,)
    if not tied:
        yield "lm_head.weight", (_VOCAB, _WIDTH)


def _tensors(*, tied: bool) -> dict[str, Host]:
    found = {}
    for name, shape in _shapes(tied=tied):
        if "norm" in name:
            x = uniform(f"hf.{name}", *shape, low=0.5, high=1.7)
        else:
            x = normal(f"hf.{name}", *shape, scale=shape[-1] ** -0.5 if len(shape) > 1 else 0.3)
        found[name] = x.astype(np.float32)
    return found


def _ours(theirs: Mapping[str, Host]) -> dict[str, Host]:
    """The tensors under the oracle's names, by a table that is independent of the core's."""
    words = (
        ("model.embed_tokens", "embedding.tokens"),
        ("model.layers", "decoder.layers"),
        ("model.norm", "decoder.norm"),
        ("lm_head", "head"),
        ("input_layernorm", "attention_norm"),
        ("post_attention_layernorm", "mlp_norm"),
        ("self_attn", "attention"),
        ("_proj", ""),
    )
    found = {}
    for name, x in theirs.items():
        ours = name
        for old, new in words:
            ours = ours.replace(old, new)
        found[ours] = x
    return found


def _logits(s: Subject, *, tied: bool, **options: Any) -> None:
    """Write and load a checkpoint, and judge every logit of two rows."""
    theirs = _tensors(tied=tied)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        write_directory(path, config=_config(tied=tied), tensors=theirs.items(), **options)
        loaded = open_language_model(path, s.backend, dtype=s.dtype)
        index = tokens("hf", 2, 9, vocab=_VOCAB)
        got = loaded.logits(index)
    stored = {n: s.round(_round_as_file(x, options)) for n, x in _ours(theirs).items()}
    config = loaded.model.config
    limit = s.budgets(
        "logits",
        lambda ar: oracle.forward(
            ar, config, {n: ar.constant(x) for n, x in stored.items()}, index
        ),
    )[0]
    s.demand("eps", expected=3e-4, got=config.decoder.norm.eps)  # type: ignore[union-attr]  # a Llama has one
    s.demand("theta", expected=5e5, got=config.embedding.rotary.theta)  # type: ignore[union-attr]  # a Llama has them
    s.judge("logits", got, limit)


def _round_as_file(x: Host, options: Mapping[str, Any]) -> Host:
    from lmkernel_conformance.precision import PRECISIONS

    return PRECISIONS[options.get("dtype", "float32")].round(x)


@case(level="checkpoints", id="llama.untied", rows=(9, 10, 14))
def head_of_its_own(s: Subject) -> None:
    """A checkpoint with a head of its own."""
    _logits(s, tied=False)


@case(level="checkpoints", id="llama.tied", rows=(9, 10, 14))
def tied_head(s: Subject) -> None:
    """A checkpoint whose head is tied to the embedding."""
    _logits(s, tied=True)


@case(level="checkpoints", id="llama.sharded")
def shards(s: Subject) -> None:
    """A checkpoint in several files with an index."""
    _logits(s, tied=False, shard_bytes=4000)


@case(level="checkpoints", id="llama.bfloat16")
def bfloat16(s: Subject) -> None:
    """Stored in 16 bits, computed in the run's dtype."""
    _logits(s, tied=True, dtype="bfloat16")


@case(level="checkpoints", id="round_trip", dtypes=("float32",))
def round_trip(s: Subject) -> None:
    """Every tensor comes back bit for bit, under its name, in the order written."""
    theirs = _tensors(tied=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        write_directory(path, config=_config(tied=False), tensors=theirs.items())
        files = read_directory(path)
        s.demand("names", expected=sorted(theirs), got=sorted(files.tensors.names()))
        for name, x in theirs.items():
            s.equal(name, np.array(files.tensors.read(name)), x)
