"""Components that are made of operations and a configuration, without parts of their own."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from lmkernel.interfaces import Component

if TYPE_CHECKING:
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Factory

__all__ = ["Configured"]

_C = TypeVar("_C")


class Configured(Component, ABC, Generic[_C]):
    """Keeps both, for a component of any interface."""

    def __init__(self, ops: Ops, config: _C) -> None:
        self._ops = ops
        self._config = config

    @classmethod
    def build(cls, factory: Factory, config: _C) -> Self:
        return cls(factory.ops, config)
