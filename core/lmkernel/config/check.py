"""Checks that every configuration uses; a failure names the field, the expected and the got."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.errors import ConfigError, shown

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["frozen_options", "one_of", "positive", "require"]


def require(owner: object, field: str, expected: str, *, ok: bool) -> None:
    """Raise `ConfigError` naming ``Owner.field`` unless ``ok``."""
    if not ok:
        got = getattr(owner, field)
        got = dict(got) if isinstance(got, Mapping) else got
        raise ConfigError(f"{type(owner).__name__}.{field}: expected {expected}, got {shown(got)}")


def positive(owner: object, *fields: str) -> None:
    """Each field is an integer of at least 1."""
    for field in fields:
        value = getattr(owner, field)
        whole = isinstance(value, int) and not isinstance(value, bool)
        require(owner, field, "a positive integer", ok=whole and value > 0)


def one_of(owner: object, field: str, choices: Collection[str]) -> None:
    """The field is one of the names."""
    require(owner, field, "one of " + ", ".join(choices), ok=getattr(owner, field) in choices)


def frozen_options(owner: object) -> None:
    """Make the field ``options``, which kinds from plugins read, a read-only copy."""
    options: Mapping[str, Any] = getattr(owner, "options")  # noqa: B009 - the field of any owner
    require(owner, "options", "a mapping", ok=isinstance(options, Mapping))
    object.__setattr__(owner, "options", MappingProxyType(dict(options)))
