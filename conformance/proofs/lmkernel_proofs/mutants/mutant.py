"""A mutant: a correct backend with one deliberate defect, of a kind seen in public projects."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.composed import assemble
from lmkernel.contract.capabilities import Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from lmkernel.backend import Backend

__all__ = ["Mutant", "component", "mandatory", "narrow", "optional"]


@final
@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A backend that must be found wanting.

    Args:
        id: unique, readable.
        level: where a case must find the defect.
        make: breaks a correct backend.
        row: of the catalogue of defects; 0 for one of our own.
        seen: where it was seen in public, or empty.
        patch: entered while it runs, for a defect of what is not the backend's.
        base: what the correct backend is before it is broken, such as one with 16 bits.
        may_fail: patterns (`fnmatch`) of ``level/name``: it passes every other case.
        higher: why it is declared at a level although a lower one sees it as well, or empty.
    """

    id: str
    level: str
    make: Callable[[Backend], Backend]
    row: int = 0
    seen: str = ""
    patch: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    base: Callable[[Backend], Backend] = field(default=lambda backend: backend)
    may_fail: tuple[str, ...] = ()
    higher: str = ""


def optional(name: str, broken: Callable[..., Any]) -> Callable[[Backend], Backend]:
    """Override one optional operation with ``broken(ops, …)``; ``ops`` are the correct ones."""

    def make(backend: Backend) -> Backend:
        own = {**backend.ops.overridden, name: functools.partial(broken, backend.ops)}
        return replace(backend, ops=assemble(backend.ops, own))  # type: ignore[arg-type]  # a mapping of operations

    return make


def mandatory(name: str, broken: Callable[..., Any]) -> Callable[[Backend], Backend]:
    """Replace one mandatory operation with ``broken(ops, …)``; ``ops`` are the correct ones."""

    def make(backend: Backend) -> Backend:
        changed: Any = _Changed(backend.ops, name, functools.partial(broken, backend.ops))
        return replace(backend, ops=assemble(changed, backend.ops.overridden))  # type: ignore[arg-type]  # a mapping of operations

    return make


def _widened(ops: Any, x: Any) -> Any:
    """16 bits come to the host as float32."""
    host = ops.to_numpy(x)
    return host.astype("float32") if host.dtype.name == "float16" else host


@final
class _Changed:
    """Operations, one of them replaced."""

    def __init__(self, ops: Any, name: str, broken: Callable[..., Any]) -> None:
        self._ops = ops
        setattr(self, name, broken)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ops, name)


def component(kind: str, made: type) -> Callable[[Backend], Backend]:
    """Supply a component of ``"interface:kind"``."""
    return lambda backend: replace(backend, components={**backend.components, kind: made})


def narrow(dtypes: Sequence[Any] = ("float16",)) -> Callable[[Backend], Backend]:
    """The same backend without its overrides, which accumulate in 16 bits, declaring these too."""

    def make(backend: Backend) -> Backend:
        declared = (*backend.capabilities.dtypes, *dtypes)
        capabilities = Capabilities(dtypes=tuple(dict.fromkeys(declared)))
        composed = replace(backend, ops=assemble(backend.ops, {}))
        wide = mandatory("to_numpy", _widened)(composed)
        return replace(wide, capabilities=capabilities)

    return make
