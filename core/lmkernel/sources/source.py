"""The interface of a source of models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.progress import Progress

__all__ = ["Source"]


class Source(ABC):
    """Fetches models by name.

    A `SourceSpec` names, in ``load``, a subclass or a function; called without arguments it gives
    a source.
    """

    @abstractmethod
    def fetch(self, name: str, directory: Path, *, progress: Progress) -> None:
        """Fill a folder with a model that `lmkernel.checkpoints` can open.

        The folder becomes visible only if this returns and what it holds opens: a ``config.json``
        with a ``model_type``, and sound weights. On any error it is removed.

        Args:
            name: a name that the spec serves, as it was asked for, with its prefix.
            directory: an empty folder. Its parent is the place for temporary files: it belongs to
                this call alone, lies on the same file system and is removed afterwards.
            progress: the object to report to.

        Raises:
            PullError: the model could not be fetched; the message says why.
            InputError: the name is malformed.
            OSError: the disk is full, and the like; the caller names the folder.
        """
