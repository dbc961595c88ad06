"""Verbs of what stands above the core, which finds them by their commands, as any plugin's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.arguments import require_flag
from lmkernel.errors import MissingDependencyError, UnknownNameError
from lmkernel.plugins import CommandSpec, default_registry

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from lmkernel.language_model import LanguageModel
    from lmkernel.progress import ProgressLike

__all__ = ["certify", "export"]


def certify(
    backend: str,
    *,
    profile: str = "full",
    levels: str | Sequence[str] = (),
    smoke: bool = False,
    device: str | None = None,
    strict: bool = False,
    jobs: int | None = None,
    limit: float = 240.0,
    out: str | os.PathLike[str] | None = None,
    progress: ProgressLike = True,
) -> Any:
    """Run the conformance suite on one backend.

    Args:
        backend: its name.
        profile: ``"inference"`` (no gradients), ``"training"`` (no generation and no files) or
            ``"full"``.
        levels: only this level, or these, such as ``"operations"``; by default all.
        smoke: only some cases of every level, within a minute.
        device: where it computes; by default its first device.
        strict: products of float32 in float32, without TF32.
        jobs: worker processes at a time; by default one for each processor, four at most.
        limit: seconds for one case.
        out: a folder for certificate, page, JUnit XML and badge.
        progress: True shows a bar on a terminal; a function is called with each case.

    Returns:
        The certificate, a `Result`: ``verdict``, ``passed``, ``reasons``, ``json()``.

    Raises:
        MissingDependencyError: nothing that is installed certifies, or the backend's library is
            missing.
        UnknownNameError: there is no such backend, profile or level.
        CapabilityError: the backend does not declare the device, or the device is not there.
        InputError: an option that makes no sense.
    """
    require_flag("smoke", smoke)
    require_flag("strict", strict)
    return _verb("certify", "the conformance suite; it comes with lmkernel's own wheel")(
        backend,
        profile=profile,
        levels=levels,
        smoke=smoke,
        device=device,
        strict=strict,
        jobs=jobs,
        limit=limit,
        out=out,
        progress=progress,
    )


def export(
    model: str | os.PathLike[str] | LanguageModel,
    out: str | os.PathLike[str],
    *,
    weights: str | None = None,
    overwrite: bool = False,
    progress: ProgressLike = True,
) -> Any:
    """Write a decoder as an ONNX file, with its KV cache as inputs and results.

    Batch, new tokens and tokens so far are free extents, and names are those of Optimum's exports.
    The file is checked by ONNX and run by ONNX Runtime beside the model before it is put in place.

    Args:
        model: a name, a folder, a GGUF file, or a model that is loaded.
        out: the file to make. Weights of more than a gigabyte lie beside it, in ``OUT.data``.
        weights: how they are held, as for `lmkernel.load`.
        overwrite: whether a file that is there may be replaced.
        progress: as for `lmkernel.load`.

    Returns:
        A `Result`: ``path``, ``inputs`` and ``outputs`` with their axes, ``difference`` from the
        model's own logits, ``json()``.

    Raises:
        MissingDependencyError: the plugin ``lmkernel-onnx``, ONNX or ONNX Runtime is missing.
        InputError: the model is no decoder that can be written, or the file is there already.
        CheckpointError, UnknownNameError, PullError.
    """
    require_flag("overwrite", overwrite)
    return _verb("export", "pip install './plugins/lmkernel-onnx[cpu]' in a clone of lmkernel")(
        model, out, weights=weights, overwrite=overwrite, progress=progress
    )


def _verb(command: str, needed: str) -> Any:
    try:
        return default_registry().get(CommandSpec, command).verb()
    except UnknownNameError as error:
        raise MissingDependencyError(
            f"{command}: nothing that is installed has it; needed: {needed}"
        ) from error
