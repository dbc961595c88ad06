"""Notes which operations and whole components a case uses, on a correct backend.

A handwritten mutant replaces some of them by name. A case that uses none of these computes the
same on the mutant as on the correct backend, and need not run there.

Constraint: everything that finds an operation goes through `Backend.ops` or what is overridden
there, and everything that finds a component through `Backend.components`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.composed import assemble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmkernel.backend import Backend

__all__ = ["ALL", "note_uses"]

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


def _noting(name: str, operation: Callable[..., Any], used: set[str]) -> Callable[..., Any]:
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
