"""Where pulled models are kept: ``LMKERNEL_HOME``, or the platform's cache folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from lmkernel.errors import PullError

__all__ = ["HOME_VARIABLE", "home", "models_home", "writable_models_home"]

HOME_VARIABLE = "LMKERNEL_HOME"


def home() -> Path:
    """The folder of everything that lmkernel keeps; it need not exist yet."""
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return platformdirs.user_cache_path("lmkernel", appauthor=False)


def models_home() -> Path:
    """The folder of the pulled models, one folder each; it need not exist yet."""
    return home() / "models"


def writable_models_home() -> Path:
    """`models_home`, created, and tried by writing a file that is gone at once.

    Raises:
        PullError: it cannot be created or written.
    """
    folder = models_home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise PullError(
            f"expected a folder for models that can be written, got {folder}: "
            f"{error.strerror or error}; set {HOME_VARIABLE} to another"
        ) from error
