"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lmkernel.errors import InputError, shown

if TYPE_CHECKING:
    from lmkernel.errors import LmkernelError

__all__ = ["path_text", "user_path"]


def path_text(given: object, what: str) -> str:
    """A path, or the name of a model, as a caller gives it.

    Raises:
        InputError: it is no text, and no object that stands for a path.
    """
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    if not isinstance(text, str):
        raise InputError(f"{what}: expected a name or a path, got {shown(given)}")
    return text


def user_path(path: str | os.PathLike[str], error: type[LmkernelError] = InputError) -> Path:
    """The path, with a tilde at its beginning as the folder of a user.

    Args:
        path: what a person or a file of settings says.
        error: the type of what is raised.

    Raises:
        error: the user has no folder, or the path holds a zero byte or is too long for the system.
    """
    text = path_text(path, "path")
    try:
        whole = Path(text)
        if str(whole).startswith("~"):  # after "./" it is a name like another
            whole = whole.expanduser() if text.startswith("~") else whole.absolute()
        whole.lstat()
    except RuntimeError as reason:
        user = Path(text).parts[0].removeprefix("~") or "this user"
        raise error(f"{text}: the home folder of {user} is not known") from reason
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return whole
    except (OSError, ValueError) as reason:  # too long, a loop of links, a zero byte
        complaint = getattr(reason, "strerror", None) or reason
        raise error(f"{text:.100}: expected a path, {complaint}") from reason
    return whole
