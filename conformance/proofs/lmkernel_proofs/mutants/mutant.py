"""A mutant: a correct backend with one deliberate defect, of a kind seen in public projects."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final
from unittest import mock

from lmkernel.composed import assemble
from lmkernel.contract.capabilities import Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from lmkernel.backend import Backend

__all__ = ["Mutant", "Patch", "Replacement", "component", "mandatory", "narrow", "optional"]


@final
@dataclass(frozen=True)
class Replacement:
    """Breaks a backend in what it finds under some names, and nowhere else.

    Args:
        names: operations, or components as ``"interface:kind"``.
        make: function that replaces them.
    """

    names: frozenset[str]
    make: Callable[[Backend], Backend]

    def __call__(self, backend: Backend) -> Backend:
        """The broken backend."""
        return self.make(backend)


@final
@dataclass(frozen=True)
class Patch:
    """Puts something broken under one name of the core, for a defect outside the backend.

    Args:
        where: the name, dotted from its module on.
        broken: what stands there instead.
    """

    where: str
    broken: Any

    def __call__(self) -> AbstractContextManager[Any]:
        """The context in which it stands there."""
        return mock.patch(self.where, self.broken)

    @property
    def called(self) -> bool:
        """Whether it is something that is called, or a property: then it is seen in use."""
        return callable(self.broken) or isinstance(self.broken, property)


def _unchanged(backend: Backend) -> Backend:
    return backend


@final
@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A backend with one defect.

    Args:
        id: unique readable name.
        level: level at which a case must find the defect.
        make: function that breaks a correct backend; unless given, its defect is the patch.
        row: row of the catalogue of defects; 0 for a defect of our own.
        seen: project and issue where the defect was seen in public, or empty.
        patch: context in which the mutant runs, for a defect outside the backend.
        base: function that prepares the correct backend, such as one that declares 16 bits.
        may_fail: patterns (`fnmatch`) of ``level/name``; the mutant passes every other case.
        higher: reason why it is declared above a level that sees it as well, or empty.
    """

    id: str
    level: str
    make: Callable[[Backend], Backend] = _unchanged
    row: int = 0
    seen: str = ""
    patch: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    base: Callable[[Backend], Backend] = _unchanged
    may_fail: tuple[str, ...] = ()
    higher: str = ""

    @property
    def replaces(self) -> frozenset[str] | None:
        """Names of what it replaces; None where its defect may lie elsewhere too."""
        if self.base is not _unchanged:
            return None
        if isinstance(self.patch, Patch) and self.make is _unchanged:
            return frozenset({self.patch.where}) if self.patch.called else None
        named = isinstance(self.make, Replacement) and self.patch is contextlib.nullcontext
        return self.make.names if named else None  # type: ignore[attr-defined]  # a replacement


def optional(name: str, broken: Callable[..., Any]) -> Replacement:
    """Override one optional operation with ``broken(ops, …)``; ``ops`` are the correct ones."""

    def make(backend: Backend) -> Backend:
        own = {**backend.ops.overridden, name: functools.partial(broken, backend.ops)}
        return replace(backend, ops=assemble(backend.ops, own))  # type: ignore[arg-type]  # a mapping of operations

    return Replacement(frozenset({name}), make)


def mandatory(name: str, broken: Callable[..., Any]) -> Replacement:
    """Replace one mandatory operation with ``broken(ops, …)``; ``ops`` are the correct ones."""

    def make(backend: Backend) -> Backend:
        changed: Any = _OpsWithReplacement(
            backend.ops, name, functools.partial(broken, backend.ops)
        )
        return replace(backend, ops=assemble(changed, backend.ops.overridden))  # type: ignore[arg-type]  # a mapping of operations

    return Replacement(frozenset({name}), make)


def _to_numpy_wide(ops: Any, x: Any) -> Any:
    """Bring 16-bit numbers to the host as float32, as the contract asks."""
    return ops.to_numpy(ops.astype(x, "float32") if ops.dtype(x) == "float16" else x)


def _erf_of_its_dtype(ops: Any, x: Any) -> Any:
    """SciPy's error function of 16-bit numbers, which it gives in float64."""
    return ops.astype(ops.erf(x), ops.dtype(x))


@final
class _OpsWithReplacement:
    """Operations with one of them replaced."""

    def __init__(self, ops: Any, name: str, broken: Callable[..., Any]) -> None:
        self._ops = ops
        setattr(self, name, broken)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ops, name)


def component(kind: str, component_type: type) -> Replacement:
    """Supply a class for a component of ``"interface:kind"``."""

    def make(backend: Backend) -> Backend:
        return replace(backend, components={**backend.components, kind: component_type})

    return Replacement(frozenset({kind}), make)


def narrow(dtypes: Sequence[Any] = ("float16",)) -> Callable[[Backend], Backend]:
    """The same backend, declaring 16-bit dtypes too.

    Its overrides go, since NumPy would accumulate in 16 bits; the compositions use float32.
    """

    def make(backend: Backend) -> Backend:
        declared = (*backend.capabilities.dtypes, *dtypes)
        capabilities = Capabilities(dtypes=tuple(dict.fromkeys(declared)))
        composed = replace(backend, ops=assemble(backend.ops, {}))
        kept = mandatory("erf", _erf_of_its_dtype)(composed)
        wide = mandatory("to_numpy", _to_numpy_wide)(kept)
        return replace(wide, capabilities=capabilities)

    return make
