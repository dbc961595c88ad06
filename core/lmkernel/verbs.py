"""Verbs that are only thin around what other packages do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.errors import MissingDependencyError, UnknownNameError
from lmkernel.plugins import CommandSpec, default_registry
from lmkernel.progress import as_progress

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.progress import ProgressLike

__all__ = ["certify", "pull"]


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

    return fetched(name, progress=as_progress(progress), force=force)


def certify(backend: str, **options: Any) -> Any:
    """Run the conformance suite on one backend.

    Args:
        backend: its name.
        options: as `lmkernel_conformance.verb.certify` takes them, such as ``smoke=True``,
            ``profile="inference"``, ``level=["operations"]``, ``jobs=2`` or ``out="folder"``.

    Returns:
        The certificate: ``verdict``, ``passed``, every failure, ``json()``.

    Raises:
        MissingDependencyError: nothing that is installed certifies.
        UnknownNameError: there is no such backend.
    """
    # the suite stands above the core, which finds it as it finds any plugin
    try:
        verb = default_registry().get(CommandSpec, "certify").verb
    except UnknownNameError as error:
        raise MissingDependencyError(
            "certify: the conformance suite is not installed; it comes with lmkernel's own wheel"
        ) from error
    return verb()(backend, **options)
