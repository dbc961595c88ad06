"""Watches a backend while it computes: whose arrays come out, where, and by whose hand.

Constraints: nothing here knows a framework. An array must be of a module that the backend's spec
names in ``requires`` (or of the backend's own package), and its own ``device`` and ``dtype``, where
it has them, must say what the contract's names say. Reference implementations that the spec does
not name cannot be imported; NumPy's mathematics raises while an operation runs.
"""

from __future__ import annotations

import contextlib
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel_conformance.discrepancy import Discrepancy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmkernel.backend import Backend
    from lmkernel.plugins import BackendSpec

__all__ = ["close_references", "watched"]

_REFERENCES = ("lmkernel_numpy", "autograd")
"""What a backend could hand its work to, all of it installed with the core."""
_MATHEMATICS = ("matmul", "dot", "einsum", "tensordot", "exp", "tanh", "inner", "vdot")
_HIGHER = frozenset({"compile", "remat", "scan", "value_and_grad"})
"""Operations that call functions of the suite, which may use NumPy."""
_TRANSFER = frozenset({"asarray", "to_numpy"})


def _owners(spec: BackendSpec) -> tuple[str, ...]:
    return (*spec.requires, spec.load.partition(":")[0].partition(".")[0])


def close_references(spec: BackendSpec) -> None:
    """Make what the spec does not name impossible to import, for the life of the process."""
    for name in _REFERENCES:
        if name not in _owners(spec) and name not in _packages(spec):
            for loaded in [m for m in sys.modules if m.partition(".")[0] == name]:
                del sys.modules[loaded]
            sys.modules[name] = None  # type: ignore[assignment]  # how Python forbids an import


def _packages(spec: BackendSpec) -> set[str]:
    return {module.partition(".")[0] for module in _owners(spec)}


def watched(backend: Backend, spec: BackendSpec) -> Backend:
    """The same backend, whose results are looked at and whose operations run without NumPy.

    Args:
        backend: loaded.
        spec: what it is registered with.
    """
    ops: Any = _Watched(backend, spec)
    return replace(backend, ops=ops)


@final
class _Watched:
    """Holds every operation, some of them wrapped."""

    def __init__(self, backend: Backend, spec: BackendSpec) -> None:
        table = {n: f for n, f in vars(backend.ops).items() if callable(f)}
        foreign = "numpy" not in _packages(spec)
        for name in set(table) - _HIGHER - _TRANSFER:
            table[name] = _without_numpy(name, table[name]) if foreign else table[name]
        table["to_numpy"] = _looked_at(backend, _owners(spec))
        self.__dict__.update(table, overridden=backend.ops.overridden)


def _without_numpy(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
    def alone(*args: Any, **options: Any) -> Any:
        with _no_mathematics(name):
            return operation(*args, **options)

    return alone


@contextlib.contextmanager
def _no_mathematics(operation: str) -> Iterator[None]:
    kept = {name: getattr(np, name) for name in _MATHEMATICS}

    def refuse(*_: Any, **__: Any) -> Any:
        raise Discrepancy(f"{operation} computes with NumPy, which the backend does not name")

    for name in kept:
        setattr(np, name, refuse)
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(np, name, function)


def _looked_at(backend: Backend, owners: tuple[str, ...]) -> Callable[[Any], Any]:
    plain, name_of = backend.ops.to_numpy, backend.ops.dtype
    kind = backend.device.partition(":")[0]

    def to_numpy(x: Any) -> Any:
        _own(x, owners)
        _says(x, "device", rf"(?i)(?<![a-z]){kind}(?![a-z])", backend.device)
        dtype = name_of(x)
        _says(x, "dtype", rf"(?<![a-z]){dtype}(?![0-9])", dtype)
        return plain(x)

    return to_numpy


def _own(x: Any, owners: tuple[str, ...]) -> None:
    """The class of an array is the framework's, or a class of its own built on one of theirs."""
    modules = {cls.__module__ for cls in type(x).__mro__}
    packages = [owner.partition(".")[0] for owner in owners]
    if not any(module.startswith(package) for module in modules for package in packages):
        raise Discrepancy(
            f"expected an array of {' or '.join(owners)}, got {type(x).__module__}."
            f"{type(x).__qualname__}"
        )


def _says(x: Any, attribute: str, pattern: str, expected: str) -> None:
    told = str(getattr(x, attribute, expected))
    if not re.search(pattern, told):
        raise Discrepancy(f"expected an array whose {attribute} is {expected}, got {told}")
