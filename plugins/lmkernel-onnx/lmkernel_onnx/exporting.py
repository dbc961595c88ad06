"""A model as an ONNX file, which is tried before it is put in its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.atomic.workspace import workspace
from lmkernel.atomic.write import require_writable, unwritable
from lmkernel.backend import load_backend
from lmkernel.errors import InputError
from lmkernel.loading import load
from lmkernel.paths import path_text, user_path
from lmkernel.results import Result, human_size

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from lmkernel.language_model import LanguageModel
    from lmkernel.progress import ProgressLike

__all__ = ["Export", "export"]

_LAYER = re.compile(r"\.(\d+)\.")


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Export(Result):
    """A model that was written as an ONNX file.

    Args:
        path: the file.
        size: its bytes, and those of the file of weights beside it, if there is one.
        inputs: the axes of each input, by its name.
        outputs: the axes of each result.
        difference: the largest difference of the file's logits from the model's own, as a share of
            the largest logit.
    """

    path: Path
    size: int
    inputs: Mapping[str, tuple[str | int, ...]]
    outputs: Mapping[str, tuple[str | int, ...]]
    difference: float

    def __fspath__(self) -> str:
        return str(self.path)

    def rows(self) -> list[list[str]]:
        """Inputs and results; those of all layers on one line."""
        rows = [["", "NAME", "AXES"]]
        for side, ends in (("input", self.inputs), ("result", self.outputs)):
            alike = {_LAYER.sub(".N.", name): axes for name, axes in ends.items()}
            rows += [[side, name, ", ".join(map(str, axes))] for name, axes in alike.items()]
        return rows

    def notes(self) -> list[str]:
        """Where it lies, and what was tried."""
        apart = f"{self.difference:.1e} of the largest one at most"
        return [
            f"{self.path}: {human_size(self.size)}",
            f"passes ONNX's checker; run by ONNX Runtime, its logits differ by {apart}",
        ]

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "path": str(self.path),
            "size": self.size,
            "inputs": {name: list(axes) for name, axes in self.inputs.items()},
            "outputs": {name: list(axes) for name, axes in self.outputs.items()},
            "difference": self.difference,
        }


def export(
    model: str | os.PathLike[str] | LanguageModel,
    out: str | os.PathLike[str],
    *,
    weights: str | None = None,
    overwrite: bool = False,
    progress: ProgressLike = True,
) -> Export:
    """Write a decoder as an ONNX file, with the inputs and results of Optimum's exports.

    Batch, new tokens and tokens so far are free extents. The keys and values of each layer are
    inputs ``past_key_values.N.key`` and ``.value``, with an extent of zero at first, and come back
    as ``present.N.key`` and ``.value``, with the new ones behind them.

    Args:
        model: a name, a folder, a GGUF file, or a model that is loaded.
        out: the file to make. Weights of more than a gigabyte lie beside it, in ``OUT.data``.
        weights: how they are held, as for `lmkernel.load`; products of int8 and int4 become
            ONNX Runtime's own ``MatMulNBits``, which other programs may not know.
        overwrite: whether a file that is there may be replaced.
        progress: as for `lmkernel.load`.

    Raises:
        InputError: the model is no decoder that can be written, or the file is there already.
        CheckpointError, UnknownNameError, MissingDependencyError, PullError.
    """
    path = _place(out, overwrite=overwrite)
    backend = load_backend("onnx")
    # these need ONNX, whose absence the backend says in a sentence
    from lmkernel_onnx.decoder_graph import DecoderGraph, require_exportable
    from lmkernel_onnx.onnx_files import write_model
    from lmkernel_onnx.trying import largest_difference

    loaded = load(path_text(model, "model"), backend=backend, weights=weights, progress=progress)
    require_exportable(loaded.model)
    decoder = DecoderGraph(loaded.model, loaded.params)
    try:
        with workspace(path) as made:
            files = write_model(decoder, made)
            difference = largest_difference(loaded.model, loaded.params, made)
            size = sum(file.stat().st_size for file in files)
            path.unlink(missing_ok=True)  # never the old graph beside new weights
            for file in files:  # the graph is the last
                file.replace(path.with_name(file.name))
    except OSError as reason:
        raise unwritable(path, reason, InputError) from reason
    axes = decoder.axes
    return Export(
        path=path,
        size=size,
        inputs={value.name: axes[value.name] for value in decoder.graph.inputs},
        outputs={value.name: axes[value.name] for value in decoder.outputs},
        difference=difference,
    )


def _place(out: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """Where the file belongs, if it may go there."""
    path = user_path(path_text(out, "out"))
    if path.is_dir():
        raise InputError(f"{path}: expected a file to make, got a folder")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: expected a file to make, got a device or a pipe")
    if path.exists() and not overwrite:
        raise InputError(f"{path} is there already; overwrite (--overwrite) replaces it")
    require_writable(path, InputError)
    return path
