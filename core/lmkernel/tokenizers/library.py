"""The ``tokenizers`` library, and how it is called with what a file says."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lmkernel.errors import CheckpointError, LmkernelError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

__all__ = ["library_code", "tokenizers_package"]

_SHOWN = 2000


def tokenizers_package() -> ModuleType:
    """The ``tokenizers`` library, or the command that installs it."""
    try:
        return importlib.import_module("tokenizers")
    except ImportError as error:
        raise MissingDependencyError(
            "tokenizers is not installed; run: pip install tokenizers"
        ) from error


@contextmanager
def library_code(where: str, kind: type[LmkernelError] = CheckpointError) -> Iterator[None]:
    """Run a block that calls a library.

    Args:
        where: the file or folder that says what the library does.
        kind: of the error.

    Raises:
        CheckpointError: or that kind: the library failed; a panic of its Rust code comes as an
            exception that is no `Exception`, and counts as well.
    """
    try:
        yield
    except BaseException as error:
        failed = isinstance(error, Exception) or type(error).__name__ == "PanicException"
        if not failed or isinstance(error, LmkernelError):
            raise
        raise kind(f"{where}: {error}"[:_SHOWN]) from error
