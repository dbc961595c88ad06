"""Small encoder-decoders with a tokenizer, in folders as the ecosystem has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sequence_kinds import SEQUENCES
from vocabulary_samples import byte_level

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import from_ours
from lmkernel.model import Model
from lmkernel.tokenizers import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

TYPES = {
    "T5Config": "t5",
    "MT5Config": "mt5",
    "UMT5Config": "umt5",
    "BartConfig": "bart",
    "MBartConfig": "mbart",
    "PegasusConfig": "pegasus",
    "MarianConfig": "marian",
    "M2M100Config": "m2m_100",
}


def described(name: str, **changes: Any) -> dict[str, Any]:
    """The ``config.json`` of a kind."""
    kind, _, options = SEQUENCES[name]
    values = {"model_type": TYPES[kind], "is_encoder_decoder": True, **options, "pad_token_id": 0}
    return {**values, **changes}


def sequence_model(folder: Path, name: str, made: Tokenizer | None = None) -> Path:
    """A random model whose tokenizer ends a text by ``<|endoftext|>``; it writes anything."""
    made = made or Tokenizer(byte_level(), {"eos_token": "<|endoftext|>"})
    values = described(name, vocab_size=made.vocab_size)
    family = find_family(values["model_type"], "a test")
    model = Model(load_backend(), family.read(HfConfig(values)))
    drawn = np.random.default_rng(11)
    weights = {n: x + drawn.normal(0, 0.3, x.shape) for n, x in model.initial(5).items()}
    tensors = from_ours(weights, family.rules(model.config), model.declare())
    write_directory(folder, config=values, tensors=tensors, tokenizer=made)
    return folder
