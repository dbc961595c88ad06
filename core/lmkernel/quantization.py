"""A model written with weights of few bits, and what that costs in perplexity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.arguments import require_count, require_flag
from lmkernel.backend import load_backend
from lmkernel.checkpoints.compressed_writer import compressed_tensors, compression
from lmkernel.checkpoints.directory import write_directory
from lmkernel.errors import InputError
from lmkernel.families.names import rule_pairs
from lmkernel.files import is_file
from lmkernel.loading import load
from lmkernel.model import Model
from lmkernel.origin import open_origin
from lmkernel.parameters import flatten
from lmkernel.parameters.quantising import fitting
from lmkernel.paths import path_text, user_path
from lmkernel.plugins.registry import DEFAULT_BACKEND
from lmkernel.progress import as_progress
from lmkernel.results import Result, counted, human_size
from lmkernel.tokenizers.checks import check_text

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from lmkernel.language_model import LanguageModel
    from lmkernel.origin import Origin
    from lmkernel.progress import ProgressLike

__all__ = ["Quantization", "quantize"]

_WINDOW = 512
"""Tokens that are scored together."""
_MATRIX = 2


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Quantization(Result):
    """A model that was written with few bits.

    Args:
        path: its folder.
        weights: how they are quantised.
        sizes: bytes of the weights' files, before and after.
        perplexities: on the same text, before and after; empty if none was measured.
        tokens: the number of tokens that were scored.
        errors: the relative error of each weight, by its name.
    """

    path: Path
    weights: str
    sizes: tuple[int, int]
    perplexities: tuple[float, ...]
    tokens: int
    errors: Mapping[str, float]

    def __fspath__(self) -> str:
        return str(self.path)

    def rows(self) -> list[list[str]]:
        """Before and after."""
        rows = [["", "BEFORE", "AFTER"], ["weights", *map(human_size, self.sizes)]]
        if self.perplexities:
            rows.append(["perplexity", *(f"{p:.4g}" for p in self.perplexities)])
        return rows

    def notes(self) -> list[str]:
        """Where it lies, and the error."""
        worst = max(self.errors, key=self.errors.__getitem__)
        mean = math.sqrt(sum(e * e for e in self.errors.values()) / len(self.errors))
        lines = [
            f"{self.path}: {self.weights}, {counted(len(self.errors), 'weight')}",
            f"error {mean:.2%} of a weight's size, at most {self.errors[worst]:.2%} ({worst})",
        ]
        if self.perplexities:
            lines.append(f"perplexity of {counted(self.tokens, 'token')}")
        return lines

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "path": str(self.path),
            "weights": self.weights,
            "sizes": list(self.sizes),
            "perplexities": list(self.perplexities),
            "tokens": self.tokens,
            "errors": dict(self.errors),
        }


def quantize(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    weights: str = "int4",
    text: str = "",
    tokens: int = 4096,
    dtype: str = "float32",
    backend: str | None = None,
    overwrite: bool = False,
    progress: ProgressLike = True,
) -> Quantization:
    """Write a model's linear layers with few bits, in a folder that transformers opens.

    The format is compressed-tensors' ``pack-quantized``. Embeddings, norms, biases and heads stay
    numbers. transformers needs the package ``compressed-tensors`` to open it.

    Args:
        model: a name, a folder or a GGUF file.
        out: the folder to make.
        weights: ``"int4"`` or ``"int8"``, as for `load`, but not asymmetric.
        text: what perplexity is measured on, before and after; by default it is not measured.
        tokens: the most of the text's tokens that are scored.
        dtype: of what stays numbers, scales among them: float32, bfloat16 or float16.
        backend: where perplexity is measured.
        overwrite: replace a folder that is there and not empty.
        progress: as for `load`.

    Raises:
        InputError: the model has no linear layer or is shown pictures, or the group does not fit a
            layer; an argument that is none.
        CheckpointError: the folder is there, or the disk refuses.
    """
    require_flag("overwrite", overwrite)
    scheme, place = fitting(weights), user_path(path_text(out, "out"))
    check_text(text)
    require_count("tokens", tokens)
    if not scheme.symmetric:  # it packs zeros of groups, and fails when it opens them
        raise InputError(f"weights: expected a kind that transformers opens, got {weights!r}")
    origin = open_origin(model, progress=as_progress(progress))
    if origin.config.sight is not None:
        raise InputError(f"{origin.where}: expected a model of texts, got one that sees pictures")
    declared = Model(load_backend(DEFAULT_BACKEND), origin.config).declare()
    linear, plain = _modules(origin, declared)
    if not linear:
        raise InputError(
            f"{origin.where}: expected linear layers that transformers opens with few bits, "
            f"found none in a {origin.model_type} model; `load` and --weights hold its weights "
            "so all the same"
        )
    errors: dict[str, float] = {}
    values = origin.weights(declared)
    write_directory(
        place,
        config={**origin.document, "quantization_config": compression(scheme, plain)},
        tensors=compressed_tensors(origin.tensors(values, declared), linear, scheme, errors),
        dtype=dtype,
        **origin.beside,
        overwrite=overwrite,
    )
    options: dict[str, Any] = {"backend": backend, "progress": progress}
    scored: list[tuple[float, int]] = []
    if text:
        scored = [_perplexity(load(x, **options), text, tokens) for x in (model, place)]
    return Quantization(
        path=place,
        weights=scheme.name,
        sizes=(_size(origin.own_files.path), _size(place)),
        perplexities=tuple(found for found, _ in scored),
        tokens=scored[0][1] if scored else 0,
        errors=errors,
    )


def _modules(origin: Origin, declared: Any) -> tuple[set[str], set[str]]:
    """The names of linear layers, and of those that stay numbers, as the checkpoint has them."""
    known = flatten(declared)
    linear: set[str] = set()
    # a head that is tied has no tensor, and is a linear layer to transformers all the same
    plain = {rule.theirs.rpartition(".")[0] for rule in origin.rules if "head.weight" in rule.ours}
    for rule, theirs, ours in rule_pairs(origin.rules, known):
        params = [known[name] for name in ours]
        module, _, leaf = theirs.rpartition(".")
        if leaf != "weight" or not all(len(param.shape) == _MATRIX for param in params):
            continue
        apart = (
            rule.transpose
            or rule.stored is not None
            or "{e}" in theirs
            or not all(param.linear for param in params)
        )
        named = {axis for param in params for axis in param.axes[:1]}
        (plain if apart or "vocab" in named else linear).add(module)
    return linear, plain


def _perplexity(model: LanguageModel, text: str, most: int) -> tuple[float, int]:
    """The perplexity of a text's tokens, in windows, and how many were scored."""
    ids = model.token_ids(text)[:most]
    window = min(_WINDOW, model.config.context)
    parts = [ids[at : at + window] for at in range(0, len(ids), window)]
    scores = [model.log_probs(part).values for part in parts if len(part) > 1]
    if not scores:
        raise InputError(f"text: expected two tokens or more, got {counted(len(ids), 'token')}")
    count = sum(map(len, scores))
    return math.exp(-sum(float(part.sum()) for part in scores) / count), count


def _size(path: Path) -> int:
    """Bytes of a model's weights on disk."""
    files = [path] if is_file(path) else path.glob("*.safetensors")
    return sum(file.stat().st_size for file in files)
