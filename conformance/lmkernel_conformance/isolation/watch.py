"""Watches that a backend computes with the framework that it names, on the device that it names.

An array must belong to a module that the backend's spec lists in ``requires``, or to the backend's
own package. Its ``device`` and ``dtype`` attributes, where it has them, must agree with the
contract's names. Reference implementations that the spec does not list cannot be imported, and
NumPy's mathematics raises while an operation runs.

Constraint: nothing here knows a framework.
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

__all__ = ["close_references", "watch_backend"]

_REFERENCES = ("lmkernel_numpy", "autograd")
"""Packages installed with the core to which a backend could delegate its work."""
_MATHEMATICS = ("matmul", "dot", "einsum", "tensordot", "exp", "tanh", "inner", "vdot")
_HIGHER = frozenset({"compile", "remat", "scan", "value_and_grad"})
"""Operations that call functions of the suite, which may use NumPy."""
_TRANSFER = frozenset({"asarray", "to_numpy"})


def _owners(spec: BackendSpec) -> tuple[str, ...]:
    """The modules whose arrays the backend may hand out."""
    return (*spec.requires, spec.load.partition(":")[0].partition(".")[0])


def close_references(spec: BackendSpec) -> None:
    """Forbid the import of references that the spec does not list, for the life of the process."""
    for name in _REFERENCES:
        if name not in _owners(spec) and name not in _packages(spec):
            for loaded in [m for m in sys.modules if m.partition(".")[0] == name]:
                del sys.modules[loaded]
            sys.modules[name] = None  # type: ignore[assignment]  # how Python forbids an import


def _packages(spec: BackendSpec) -> set[str]:
    return {module.partition(".")[0] for module in _owners(spec)}


def watch_backend(backend: Backend, spec: BackendSpec) -> Backend:
    """A copy of the backend whose results are checked, and whose operations run without NumPy.

    Args:
        backend: the loaded backend.
        spec: the specification that it is registered with.
    """
    ops: Any = _WatchedOps(backend, spec)
    return replace(backend, ops=ops)


@final
class _WatchedOps:
    """All operations of a backend, some of them wrapped."""

    def __init__(self, backend: Backend, spec: BackendSpec) -> None:
        table = {n: f for n, f in vars(backend.ops).items() if callable(f)}
        foreign = "numpy" not in _packages(spec)
        for name in set(table) - _HIGHER - _TRANSFER:
            table[name] = _without_numpy(name, table[name]) if foreign else table[name]
        table["to_numpy"] = _checking_to_numpy(backend, _owners(spec))
        self.__dict__.update(table, overridden=backend.ops.overridden)


def _without_numpy(name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
    def alone(*args: Any, **options: Any) -> Any:
        with _no_mathematics(name):
            return operation(*args, **options)

    return alone


@contextlib.contextmanager
def _no_mathematics(operation: str) -> Iterator[None]:
    """Replace NumPy's mathematics by functions that raise; the worker runs one case at a time."""
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


def _checking_to_numpy(backend: Backend, owners: tuple[str, ...]) -> Callable[[Any], Any]:
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
    """Check that the class of an array, or one of its bases, is the framework's."""
    modules = {cls.__module__ for cls in type(x).__mro__}
    packages = [owner.partition(".")[0] for owner in owners]
    if not any(module.startswith(package) for module in modules for package in packages):
        raise Discrepancy(
            f"expected an array of {' or '.join(owners)}, as requires of its specification says, "
            f"got {type(x).__module__}.{type(x).__qualname__}"
        )


def _says(x: Any, attribute: str, pattern: str, expected: str) -> None:
    """Check an attribute of an array; frameworks spell "cuda:0" or "torch.float32" in many ways."""
    value = str(getattr(x, attribute, expected))
    if not re.search(pattern, value):
        raise Discrepancy(f"expected an array whose {attribute} is {expected}, got {value}")
