"""Verbs that are only thin around what other packages do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.errors import MissingDependencyError, UnknownNameError
from lmkernel.paths import path_text
from lmkernel.plugins import CommandSpec, default_registry
from lmkernel.progress import as_progress

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    from lmkernel.inspection import Classification, Classifications
    from lmkernel.language_model import LanguageModel
    from lmkernel.progress import ProgressLike

__all__ = ["certify", "classify", "pull"]


def pull(
    name: str,
    *,
    force: bool = False,
    progress: ProgressLike = True,
) -> Path:
    """Fetch a model by name, unless it is there, and return its folder.

    Args:
        name: a name that `lmkernel.models` lists, or ``hf:ORG/NAME``.
        force: fetch it anew even if it is there; if that fails, what was there stays.
        progress: True reports on standard error, False not at all; or a function to be called.

    Raises:
        UnknownNameError: no source serves this name.
        PullError: it could not be fetched; nothing has changed.
    """
    from lmkernel.sources.resolve import pull as fetched

    return fetched(path_text(name, "name"), progress=as_progress(progress), force=force)


def classify(
    model: str | os.PathLike[str] | LanguageModel,
    texts: str | tuple[str, str] | Sequence[str | tuple[str, str]],
    *,
    batch: int = 32,
    truncate: bool = False,
    backend: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    progress: ProgressLike = True,
) -> Classification | Classifications:
    """The class of a text, or of each of several, with the probability of every class.

    Args:
        model: fine-tuned by the objective ``"classification"``: loaded, or a name or folder.
        texts: a text, a pair of texts as a tuple, or several of either.
        batch: how many are computed at once.
        truncate: cut what is longer than the context.
        backend: where a model that is not loaded runs; see `lmkernel.load`.
        device: of the backend.
        dtype: of the computation.
        progress: as for `pull`.

    Returns:
        For one text a `Classification`: ``label``, ``score``, ``scores`` by label; for several a
        sequence of them.

    Raises:
        LmkernelError: there is no such model, it tells no classes apart, or a text is too long.
    """
    from lmkernel.inspection import classify as classes_of
    from lmkernel.language_model import LanguageModel
    from lmkernel.loading import load

    if not isinstance(model, LanguageModel):
        model = load(model, backend=backend, device=device, dtype=dtype, progress=progress)
    return classes_of(model, texts, batch=batch, truncate=truncate)


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
    # the suite stands above the core, which finds it as it finds any plugin
    try:
        verb = default_registry().get(CommandSpec, "certify").verb
    except UnknownNameError as error:
        raise MissingDependencyError(
            "certify: the conformance suite is not installed; it comes with lmkernel's own wheel"
        ) from error
    return verb()(
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
