"""Detects changes to the suite in a running process, such as a loosened tolerance.

A seal is taken before the backend is imported, and compared after each case. It covers every
function, method and number in the suite's modules, and the NumPy functions that budgets use.

Constraint: it finds the tolerance that was loosened and the comparison that was patched. A backend
that is out to deceive can get round anything that runs in its own process.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import types
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel_conformance.precision import PRECISIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Seal"]

_PACKAGE = "lmkernel_conformance"
_PARTS = ("cases", "oracle")
_JUDGES = ("abs", "argmax", "asarray", "isfinite", "isnan", "max", "maximum", "where")
_PLAIN = (
    int,
    float,
    str,
    tuple,
    frozenset,
    property,
    staticmethod,
    classmethod,
    types.MappingProxyType,
)


@final
class Seal:
    """A snapshot of the suite: its functions, methods and numbers."""

    def __init__(self) -> None:
        for part in _PARTS:
            _import_all(part)
        self._kept = dict(_everything())

    def changes(self) -> list[str]:
        """The names of everything that has changed since, sorted."""
        now = dict(_everything())
        return sorted(n for n, value in self._kept.items() if not _same(now.get(n, self), value))


def _import_all(part: str) -> None:
    """Import all modules of a subpackage: what is imported later would be missing from the seal."""
    package = importlib.import_module(f"{_PACKAGE}.{part}")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


def _everything() -> Iterator[tuple[str, Any]]:
    """Everything that a seal covers, by dotted name."""
    yield from ((f"numpy.{name}", getattr(np, name)) for name in _JUDGES)
    yield "precisions", repr(dict(PRECISIONS))
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == _PACKAGE and isinstance(module, types.ModuleType):
            yield from _of(name, vars(module))


def _of(owner: str, members: Any) -> Iterator[tuple[str, Any]]:
    for name, value in list(members.items()):
        if inspect.isclass(value) and value.__module__ == owner:
            yield from _of(f"{owner}.{name}", vars(value))
        # A function can be changed in place, by its code object, without being replaced.
        if isinstance(value, types.FunctionType):
            yield f"{owner}.{name}.__code__", value.__code__
        if isinstance(value, (types.FunctionType, *_PLAIN)) and not name.startswith("__"):
            yield f"{owner}.{name}", value


def _same(now: Any, before: Any) -> bool:
    return now is before or (isinstance(before, str) and now == before)
