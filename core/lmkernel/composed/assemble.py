"""Puts an operations object together: mandatory, overrides, composed defaults.

Constraint: done once at load; a call afterwards is a plain attribute and a plain call.
"""

from __future__ import annotations

import functools
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, cast, final

from lmkernel.composed.table import COMPOSED
from lmkernel.contract.mandatory import MandatoryOps
from lmkernel.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.contract.optional import Ops

__all__ = ["assemble"]


def assemble(mandatory: MandatoryOps, overrides: Mapping[str, Callable[..., Any]]) -> Ops:
    """Return the frozen `Ops` of a backend.

    Raises:
        UnknownNameError: an override that is no optional operation.
    """
    for name in overrides:
        if name not in COMPOSED:
            raise UnknownNameError("optional operation", name, COMPOSED)
    return cast("Ops", _Frozen(mandatory, overrides))


@final
class _Frozen:
    """Holds every operation as an attribute of its own."""

    def __init__(
        self, mandatory: MandatoryOps, overrides: Mapping[str, Callable[..., Any]]
    ) -> None:
        table = {name: getattr(mandatory, name) for name in MandatoryOps.__abstractmethods__}
        for name, default in COMPOSED.items():
            table[name] = overrides.get(name) or functools.partial(default, self)
        self.__dict__.update(table, overridden=MappingProxyType(dict(overrides)))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"operations are frozen: cannot set {name!r} to {value!r}")
