"""A small random Whisper model, in the ecosystem's words and on the default backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.config import PrecisionPolicy
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import from_ours
from lmkernel.model import Model
from lmkernel.tokenizers import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "DESCRIBED",
    "STEPS",
    "WINDOW",
    "generation_settings",
    "small_whisper",
    "speech_model",
    "speech_tokenizer",
]

DESCRIBED: dict[str, Any] = {
    "model_type": "whisper",
    "is_encoder_decoder": True,
    "vocab_size": 101,
    "num_mel_bins": 10,
    "d_model": 48,
    "encoder_layers": 2,
    "encoder_ffn_dim": 80,
    "encoder_attention_heads": 6,
    "decoder_layers": 3,
    "decoder_ffn_dim": 56,
    "decoder_attention_heads": 4,
    "max_source_positions": 9,
    "max_target_positions": 20,
}


def small_whisper(**changes: Any) -> tuple[Model, dict[str, np.ndarray]]:
    """The model in float64, and values by name, all of which matter."""
    values = {**DESCRIBED, **changes}
    config = find_family("whisper", "a test").read(HfConfig(values))
    wide = PrecisionPolicy(params="float64", compute="float64", output="float64")
    model, drawn = Model(load_backend("numpy"), config, wide), np.random.default_rng(7)
    return model, {n: x + drawn.normal(0, 0.2, x.shape) for n, x in model.initial(5).items()}


WINDOW = 1.0
"""Seconds that the small model hears at once."""
STEPS = 50
"""Of time, in such a window."""


def speech_tokenizer(corpus: str = "the cat sat on the mat", steps: int = STEPS) -> Tokenizer:
    """Bytes and what is frequent in a text, and behind them the tokens that a speech model has."""
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=270, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator([corpus], trainer)
    names = ["endoftext", "startoftranscript", "en", "de", "fr", "translate", "transcribe"]
    names += ["startoflm", "startofprev", "nospeech", "notimestamps"]
    names += [f"{i * 0.02:.2f}" for i in range(steps + 1)]
    made.add_special_tokens([AddedToken(f"<|{name}|>", special=True) for name in names])
    return Tokenizer(made, {"eos_token": "<|endoftext|>"})


def generation_settings(made: Tokenizer) -> dict[str, Any]:
    """The ``generation_config.json`` of a speech model."""

    def number(name: str) -> int:
        found = made.token_id(f"<|{name}|>")
        assert found is not None
        return found

    end = number("endoftext")
    return {
        "decoder_start_token_id": number("startoftranscript"),
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "is_multilingual": True,
        "lang_to_id": {f"<|{name}|>": number(name) for name in ("en", "de", "fr")},
        "task_to_id": {name: number(name) for name in ("transcribe", "translate")},
        "no_timestamps_token_id": number("notimestamps"),
        "prev_sot_token_id": number("startofprev"),
        "suppress_tokens": [3, 7, 100, number("startoftranscript"), number("startoflm")],
        "begin_suppress_tokens": [5, end],
        "max_initial_timestamp_index": 20,
        "max_length": 40,
    }


def speech_model(folder: Path, *, context: int = 40, **changes: Any) -> Path:
    """A random model that hears one second at once, and writes anything, up to so many tokens."""
    made = speech_tokenizer()
    sizes = {"max_source_positions": STEPS, "max_target_positions": context, "num_mel_bins": 80}
    values = {**DESCRIBED, **sizes, "vocab_size": made.vocab_size}
    model, weights = small_whisper(**{k: v for k, v in values.items() if k != "model_type"})
    family = find_family("whisper", "a test")
    tensors = from_ours(weights, family.rules(model.config), model.declare())
    settings = {**generation_settings(made), **changes}
    kinds = ("decoder_start", "bos", "eos", "pad")
    values |= {f"{kind}_token_id": settings[f"{kind}_token_id"] for kind in kinds}
    write_directory(
        folder, config=values, tensors=tensors, tokenizer=made, generation_config=settings
    )
    (folder / "preprocessor_config.json").write_text('{"chunk_length": 1, "feature_size": 80}')
    return folder
