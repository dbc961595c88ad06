"""Notes which operations, components and patched functions a case uses, on a correct backend.

A handwritten mutant replaces some of them by name. A case that uses none of these computes the
same on the mutant as on the correct backend, and need not run there.

Constraint: everything that finds an operation goes through `Backend.ops` or what is overridden
there, and everything that finds a component through `Backend.components`.
"""

from __future__ import annotations

import contextlib
import functools
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final
from unittest import mock

from lmkernel.composed import assemble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lmkernel.backend import Backend

__all__ = ["ALL", "note_calls", "note_uses"]

ALL = "*"
"""Noted where all operations that are overridden, or all components, are looked through."""


def note_uses(backend: Backend, used: set[str]) -> Backend:
    """A copy of a backend that adds the name of what is used to ``used``.

    Args:
        backend: the correct backend.
        used: takes the names of operations, components as ``"interface:kind"``, and `ALL`.
    """
    # compositions look operations up in the object that they belong to, so it is a new one, and
    # what one operation calls is noted as well
    ops: Any = assemble(backend.ops, backend.ops.overridden)  # type: ignore[arg-type]  # a mapping of operations
    table = {name: f for name, f in vars(ops).items() if callable(f)}
    vars(ops).update({name: _noting(name, f, used) for name, f in table.items()})
    vars(ops)["overridden"] = _NotingMapping(backend.ops.overridden, used)
    return replace(backend, ops=ops, components=_NotingMapping(backend.components, used))


@contextlib.contextmanager
def note_calls(names: Iterable[str], used: set[str]) -> Iterator[None]:
    """Add to ``used`` each of some dotted names whose function, method or property is called."""
    with contextlib.ExitStack() as noted:
        for name in names:
            right: Any = pkgutil.resolve_name(name)
            reads = isinstance(right, property)
            own = _noting(name, right.fget if reads else right, used)
            noted.enter_context(mock.patch(name, property(own) if reads else own))
        yield


def _noting(name: str, operation: Callable[..., Any], used: set[str]) -> Callable[..., Any]:
    @functools.wraps(operation)
    def noted(*args: Any, **options: Any) -> Any:
        used.add(name)
        return operation(*args, **options)

    return noted


@final
class _NotingMapping(Mapping[str, Any]):
    """A mapping that notes which of its names are looked up."""

    def __init__(self, inner: Mapping[str, Any], used: set[str]) -> None:
        self._inner = inner
        self._used = used

    def __getitem__(self, name: str) -> Any:
        self._used.add(name)
        return self._inner[name]

    def __iter__(self) -> Iterator[str]:
        self._used.add(ALL)
        return iter(self._inner)

    def __len__(self) -> int:
        self._used.add(ALL)
        return len(self._inner)
