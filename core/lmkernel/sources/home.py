"""Where pulled models are kept: ``LMKERNEL_HOME``, or the platform's cache folder."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from lmkernel.errors import PullError
from lmkernel.paths import user_path

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.errors import LmkernelError

__all__ = ["HOME_VARIABLE", "home", "models_home", "writable_folder"]

HOME_VARIABLE = "LMKERNEL_HOME"


def home() -> Path:
    """The folder of everything that lmkernel keeps; it need not exist yet.

    Raises:
        PullError: the user has no home folder, and the variable names no other.
    """
    folder = os.environ.get(HOME_VARIABLE) or _usual_home()
    try:
        return user_path(folder, PullError).absolute()
    except PullError as error:
        raise PullError(f"{error}; set {HOME_VARIABLE} to a folder") from error


def _usual_home() -> str:
    """The platform's folder; one that begins with a tilde where the user has no home folder."""
    import platformdirs

    try:
        return platformdirs.user_cache_dir("lmkernel", appauthor=False)
    except RuntimeError:
        return "~"


def models_home() -> Path:
    """The folder of the pulled models, one folder each; it need not exist yet."""
    return home() / "models"


def writable_folder(name: str, error: type[LmkernelError] = PullError) -> Path:
    """A folder in `home`, created, and tried by writing a file that is gone at once.

    Raises:
        error: it cannot be created or written.
    """
    folder = home() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as reason:
        raise error(
            f"expected a folder that can be written, got {folder}: "
            f"{reason.strerror or reason}; set {HOME_VARIABLE} to another"
        ) from reason
