"""Puts an operations object together: mandatory, overrides, composed defaults.

Constraint: done once at load; a call afterwards is a plain attribute and a plain call.
"""

from __future__ import annotations

import functools
import inspect
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, cast, final
from weakref import WeakSet

from lmkernel.arguments import require_known
from lmkernel.composed.blocks import handling_blocks
from lmkernel.composed.table import COMPOSED
from lmkernel.contract.mandatory import MandatoryOps
from lmkernel.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType

    from lmkernel.contract.optional import Ops

__all__ = ["assemble", "operation_of"]


def assemble(
    mandatory: MandatoryOps,
    overrides: Mapping[str, Callable[..., Any]],
    unsupported: Mapping[str, str] = MappingProxyType({}),
) -> Ops:
    """Return the frozen `Ops` of a backend.

    Args:
        mandatory: the mandatory tier.
        overrides: the optional operations that the backend supplies, by name.
        unsupported: operations that it declares it cannot do, with reasons; calling one raises
            `CapabilityError`.

    Raises:
        UnknownNameError: an override that is no optional operation, or an unsupported one that is
            no operation.
    """
    for name in overrides:
        require_known("optional operation", name, COMPOSED)
    for name in unsupported:
        known = {*COMPOSED, *MandatoryOps.__abstractmethods__}
        require_known("operation", name, known)
    return cast("Ops", _FrozenOps(mandatory, overrides, unsupported))


def operation_of(code: CodeType) -> str | None:
    """The name of the operation that a function is, in the backends that are loaded.

    Args:
        code: the function's.

    Returns:
        None where it is none, or several: those that a decorator puts one function before.
    """
    names = {
        name
        for ops in list(_ASSEMBLED)
        for name, operation in (*vars(ops).items(), *ops.overridden.items())
        if _code(operation) is code
    }
    return names.pop() if len(names) == 1 else None


def _code(operation: Any) -> CodeType | None:
    """The code behind a method, a partial function or a decorator that says what it wraps."""
    if isinstance(operation, functools.partial):
        operation = operation.func
    try:
        return getattr(inspect.unwrap(operation), "__code__", None)
    except Exception:  # noqa: BLE001 - a plugin's object, which may do anything
        return None


def _refusal(name: str, reason: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise CapabilityError(f"the backend declares {name!r} unsupported: {reason}")

    return refuse


@final
class _FrozenOps:
    """Holds every operation as an attribute of its own."""

    def __init__(
        self,
        mandatory: MandatoryOps,
        overrides: Mapping[str, Callable[..., Any]],
        unsupported: Mapping[str, str],
    ) -> None:
        table = {name: getattr(mandatory, name) for name in MandatoryOps.__abstractmethods__}
        for name, default in COMPOSED.items():
            table[name] = overrides.get(name) or functools.partial(default, self)
        # an override of `linear` need not know what the composition packs
        table |= handling_blocks(cast("Ops", self), table)
        table |= {name: _refusal(name, reason) for name, reason in unsupported.items()}
        self.overridden: Mapping[str, Callable[..., Any]]
        self.__dict__.update(table, overridden=MappingProxyType(dict(overrides)))
        _ASSEMBLED.add(self)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"operations are frozen: cannot set {name!r} to {value!r}")


_ASSEMBLED: WeakSet[_FrozenOps] = WeakSet()
"""Those of the backends that are loaded."""
