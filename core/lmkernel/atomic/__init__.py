"""Folders and files that appear whole or not at all, whatever stops their writer."""

from lmkernel.atomic.lock import hold
from lmkernel.atomic.workspace import remove_directory, sweep, workspace
from lmkernel.atomic.write import (
    new_directory,
    publish,
    require_writable,
    unwritable,
    write_whole,
)

__all__ = [
    "hold",
    "new_directory",
    "publish",
    "remove_directory",
    "require_writable",
    "sweep",
    "unwritable",
    "workspace",
    "write_whole",
]
