"""What stands before a part that a plugin made, and speaks of it by its name.

Constraints: a part's methods are run as a plugin's code; what they give is checked; our own errors
are answers.
"""

from __future__ import annotations

from operator import methodcaller
from typing import TYPE_CHECKING, Any, ClassVar

from lmkernel.errors import LmkernelError, PluginError
from lmkernel.plugins.guard import plugin_code

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Guarded", "require_kind"]


class Guarded:
    """The base of a class that has each method of an interface, and asks a plugin's part for it.

    Args:
        own: what the plugin made.
        what: what it is, with the name that it is registered under; messages begin with it.
        made_by: the field or the method that made it.

    Raises:
        PluginError: it is something else than was expected.
    """

    guarded: ClassVar[type]
    """The interface."""

    def __init__(self, own: object, what: str, made_by: str = "build") -> None:
        self._what = what
        self._require(made_by, own, self.guarded)
        self._own: Any = own

    def __repr__(self) -> str:
        """What it is, and the plugin's own class."""
        return f"<{self._what}: {type(self._own).__name__}>"

    def _ask(self, method: str, kind: Any, *arguments: Any, **more: Any) -> Any:
        """What a method of the plugin's gives, which must be of a kind."""
        return self._call(method, methodcaller(method, *arguments, **more), kind, self._own)

    def _call(self, what: str, call: Callable[..., Any], kind: Any, *arguments: Any) -> Any:
        with plugin_code(f"{self._what}, {what}", LmkernelError):
            found = call(*arguments)
        self._require(what, found, kind)
        return found

    def _require(self, what: str, found: object, kind: Any) -> None:
        require_kind(f"{self._what}, {what}", found, kind)

    def _error(self, what: str, text: str) -> PluginError:
        return PluginError(f"{self._what}, {what}: {text}")


def require_kind(what: str, found: object, kind: Any) -> None:
    """Refuse what is of another kind than a plugin was to give.

    Raises:
        PluginError: by what gave it.
    """
    if not issubclass(type(found), kind):  # what it says of its own class is its own code
        expected = getattr(kind, "__name__", str(kind))
        raise PluginError(f"{what}: expected {expected}, got {type(found).__name__}")
