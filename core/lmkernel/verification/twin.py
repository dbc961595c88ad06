"""Twins: small random checkpoints of the same structure as a model, which anybody can open.

Constraint: a wrong constant must show. So vectors enter a layer small beside the terms inside roots
(ε), scores of attention and the inner values of an MLP are of the size at which a softmax and an
activation bend, biases are not zero and weights of norms not one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.arguments import require_count, require_flag
from lmkernel.atomic import new_directory
from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import fill_directory
from lmkernel.checkpoints.json_files import read_object
from lmkernel.families.agreement import read_config
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.files import hf_configuration
from lmkernel.families.names import from_ours
from lmkernel.families.rope import ROPE_KEYS
from lmkernel.families.text_parts import text_values
from lmkernel.interfaces import Init
from lmkernel.model import Model
from lmkernel.origin import open_origin
from lmkernel.parameters import flatten, initial_values, nest
from lmkernel.paths import user_path
from lmkernel.plugins.registry import DEFAULT_BACKEND
from lmkernel.progress import as_progress
from lmkernel.results import Result
from lmkernel.verification.shrinking import with_every_kind_of_layer, with_small_widths
from lmkernel.verification.structure import (
    is_sequence_model,
    top_transformer,
    transformers,
    with_few_layers,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig
    from lmkernel.families.family import Family
    from lmkernel.interfaces import Param, ParamTree
    from lmkernel.progress import ProgressLike
    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["Twin", "truncate", "twin"]

_EMBEDDING, _OUT, _HEAD = 0.1, 0.12, 1.5
_RESIDUAL = (("embed", "heads"), ("embed", "mlp"))


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Twin(Result):
    """A twin that was written.

    Args:
        path: its folder.
        model_type: the name of its family.
        original: the configuration that it is the twin of.
        config: its own.
        tokenizer: whether the original's tokenizer lies beside it.
    """

    path: Path
    model_type: str
    original: ModelConfig
    config: ModelConfig
    tokenizer: bool

    def __fspath__(self) -> str:
        return str(self.path)

    def rows(self) -> list[list[str]]:
        """Each size of the original and of the twin."""
        pairs = zip(_sizes(self.original).items(), _sizes(self.config).values(), strict=True)
        return [["", "ORIGINAL", "TWIN"], *([n, str(a), str(b)] for (n, a), b in pairs)]

    def notes(self) -> list[str]:
        """Where it lies."""
        beside = "with the original's tokenizer" if self.tokenizer else "without a tokenizer"
        return [f"{self.path}: {self.model_type}, {beside}"]

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "path": str(self.path),
            "model_type": self.model_type,
            "original": _sizes(self.original),
            "twin": _sizes(self.config),
            "tokenizer": self.tokenizer,
        }

    def __repr__(self) -> str:
        return f"Twin({str(self.path)!r}, {self.model_type})"


def twin(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    layers: int | None = None,
    like: bool = False,
    seed: int = 0,
    overwrite: bool = False,
    progress: ProgressLike = True,
) -> Twin:
    """Write a small random checkpoint of the same structure as a model.

    Args:
        model: a ``config.json``, a folder with one, a GGUF file, or a name; weights are not read.
        out: the folder to make.
        layers: how many of its first layers, of an encoder and a decoder the decoder's; by default
            four, or as many as it takes for one of each kind.
        like: whether it has the model's own widths, window and context, and few layers only.
        seed: of its weights, which are the same bits everywhere.
        overwrite: replace a folder that is there and not empty.
        progress: True reports a pull on standard error, False not at all; or a function.

    Raises:
        CheckpointError: there is no configuration, its family is unknown, or the folder is there.
        InputError: a model of another structure than transformer layers.
    """
    require_flag("like", like)
    require_flag("overwrite", overwrite)
    values, tokenizer = _describe(model, progress)
    model_type, where = values.get("model_type"), f"{os.fspath(model)}: config.json"
    family = find_family(model_type, where)
    original = read_config(family, HfConfig(values, where))
    if layers is None:
        config = with_every_kind_of_layer(original)
    else:
        config = with_few_layers(original, layers)
    if not like:
        config = with_small_widths(
            config, vocab=None if tokenizer is None else original.embedding.vocab
        )
    folder = user_path(out).absolute()
    pad = values.get("pad_token_id")
    _write(folder, config, family, tokenizer, seed, pad=pad, overwrite=overwrite)
    return Twin(
        path=folder,
        model_type=str(model_type),
        original=original,
        config=config,
        tokenizer=tokenizer is not None,
    )


def truncate(model: str | os.PathLike[str], layers: int, out: str | os.PathLike[str]) -> Path:
    """Write the first layers of a checkpoint, with its embedding and head, as a checkpoint.

    Args:
        model: the checkpoint.
        layers: how many of its layers, at least one.
        out: the folder to make.

    Returns:
        The folder.
    """
    origin = open_origin(model)
    config = with_few_layers(origin.config, layers)
    folder = user_path(out)
    declared = Model(load_backend(DEFAULT_BACKEND), config).declare()
    names = frozenset(flatten(declared))
    whole = Model(load_backend(DEFAULT_BACKEND), origin.config).declare()
    kept = origin.weights(whole, only=names)
    tokenizer = origin.tokenizer if origin.has_tokenizer else None
    stored = origin.own_files.tensors.dtype(origin.own_files.tensors.names()[0])
    with new_directory(folder) as place:
        fill_directory(
            place,
            config=hf_configuration(config, origin.family, tokenizer=tokenizer),
            tensors=from_ours(kept, origin.family.rules(config), declared),
            dtype=stored if stored in ("bfloat16", "float16") else "float32",
            tokenizer=tokenizer,
        )
    return folder


def _describe(
    model: str | os.PathLike[str], progress: ProgressLike
) -> tuple[dict[str, Any], Tokenizer | None]:
    """The content of ``config.json``, and the tokenizer where there is one."""
    path = user_path(model)
    file = path / "config.json" if path.is_dir() else path
    if file.suffix == ".json" and file.is_file():
        values = text_values(read_object(file, required=True), str(file))
        return values, _tokenizer_beside(file.parent)
    origin = open_origin(model, progress=as_progress(progress))
    described = {"model_type": origin.model_type, **origin.described.values}
    folder = origin.own_files.path
    return described, _tokenizer_beside(folder) if folder.is_dir() else origin.tokenizer


def _tokenizer_beside(folder: Path) -> Tokenizer | None:
    from lmkernel.tokenizers.load import load_tokenizer

    return load_tokenizer(folder) if (folder / "tokenizer.json").exists() else None


def _write(
    folder: Path,
    config: ModelConfig,
    family: Family,
    tokenizer: Tokenizer | None,
    seed: int,
    *,
    pad: object,
    overwrite: bool,
) -> None:
    require_count("seed", seed, least=0, most=2**64 - 1)
    declared = Model(load_backend(DEFAULT_BACKEND), replace(config, init=None)).declare()
    written = hf_configuration(config, family, tokenizer=tokenizer)
    described = _without_nulls({**written, **_kept_padding(pad, config)}, family)
    with new_directory(folder, overwrite=overwrite) as place:
        fill_directory(
            place,
            config=described,
            tensors=from_ours(_draw(declared, seed), family.rules(config), declared),
            tokenizer=tokenizer,
        )


def _kept_padding(pad: object, config: ModelConfig) -> dict[str, Any]:
    """What an encoder-decoder calls its padding, by which some tell positions."""
    kept = is_sequence_model(config) and isinstance(pad, int) and pad < config.embedding.vocab
    return {"pad_token_id": pad} if kept else {}


def _without_nulls(described: dict[str, Any], family: Family) -> dict[str, Any]:
    """Without RoPE's null keys, on which some readers fail, where they say what none would."""
    shorter = {n: x for n, x in described.items() if x is not None or n not in ROPE_KEYS}
    read, again = (family.read(HfConfig(x, "the twin")) for x in (described, shorter))
    return shorter if read == again else described


def _draw(declared: ParamTree, seed: int) -> dict[str, NDArray[np.float32]]:
    """Random values under which each part of a model matters."""
    params: dict[str, Param] = flatten(declared)
    spread = {n: replace(p, init=Init("normal", _spread(n, p))) for n, p in params.items()}
    drawn = initial_values(nest(declared, spread), seed)
    ones = [n for n, p in params.items() if p.init.kind == "ones"]
    return {**drawn, **{n: drawn[n] + np.float32(1) for n in ones}}


def _spread(name: str, param: Param) -> float:
    if len(param.shape) == 1:
        return 0.25 if name.endswith("weight") else 0.1
    if name.startswith(("embedding.", "target_embedding.")):
        return _EMBEDDING
    into = float(param.shape[-1] ** -0.5)
    return into * (_OUT if param.axes in _RESIDUAL else _HEAD)


def _sizes(config: ModelConfig) -> dict[str, Any]:
    _, stack = top_transformer(config)
    encoder = transformers(config)["encoder"] if is_sequence_model(config) else None
    every = (stack.layer(i).attention.window for i in range(stack.layers))
    windows = {window for window in every if window is not None}
    return {
        **({"encoder layers": encoder.layers} if encoder else {}),
        "layers": stack.layers,
        "width": stack.width,
        "heads": stack.attention.heads,
        "key heads": stack.attention.kv_heads,
        "head size": stack.attention.head_dim,
        "inner width": stack.mlp.hidden,
        "tokens": config.embedding.vocab,
        "context": config.context,
        "window": min(windows) if windows else None,
    }
