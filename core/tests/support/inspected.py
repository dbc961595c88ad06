"""Small models to look into, loaded from folders."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from letters import letters
from small import HF_CONFIG, values_of
from small_bert import BERT

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.config import PrecisionPolicy
from lmkernel.families.bert import Bert
from lmkernel.families.family import HfConfig
from lmkernel.families.llama import Llama
from lmkernel.families.names import from_ours
from lmkernel.loading import open_language_model
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.config import ModelConfig
    from lmkernel.language_model import LanguageModel
    from lmkernel.tokenizers import Tokenizer

_FAMILIES = {"llama": Llama, "bert": Bert}


def loaded(
    folder: Path,
    document: dict[str, Any],
    tokenizer: Tokenizer | None = None,
    dtype: str = "float64",
) -> LanguageModel:
    """A model with random weights, from a folder that is written here."""
    family = _FAMILIES[document["model_type"]]()
    config = family.read(HfConfig(document))
    model = Model(load_backend(), config)
    tensors = from_ours(values_of(model), family.rules(config), model.declare())
    write_directory(folder, config=document, tensors=tensors, tokenizer=tokenizer or letters())
    return open_language_model(folder, load_backend(), dtype=dtype)


def small_llama(folder: Path, tokenizer: Tokenizer | None = None, **changes: Any) -> LanguageModel:
    """A small Llama with a tokenizer of letters."""
    return loaded(folder, {**HF_CONFIG, **changes}, tokenizer)


def small_encoder(
    folder: Path, tokenizer: Tokenizer | None = None, **changes: Any
) -> LanguageModel:
    """A small BERT with the pooled vector as its output, and a tokenizer of letters."""
    return loaded(folder, {**BERT, "architectures": ["BertModel"], **changes}, tokenizer)


def bare(config: ModelConfig) -> Any:
    """A model with random weights in float64 that has no files and no tokenizer."""
    policy = PrecisionPolicy(params="float64", compute="float64", output="float64")
    model = Model(load_backend(), config, policy)
    return SimpleNamespace(model=model, params=model.pack(values_of(model)))


__all__ = ["bare", "loaded", "small_encoder", "small_llama"]
