"""Attributes, items and methods of the values in a chat template.

There is no reach into Python's objects: a value has the methods of a table, and no others.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from jinja2 import Undefined
from jinja2.exceptions import SecurityError
from jinja2.sandbox import modifies_known_mutable

from lmkernel.errors import TemplateError
from lmkernel.tokenizers.template.methods import methods_of, properties_of
from lmkernel.tokenizers.template.values import Function, Namespace, check_key

if TYPE_CHECKING:
    from lmkernel.tokenizers.template.budget import Budget

__all__ = ["attribute_of", "item_of"]


def attribute_of(budget: Budget, value: Any, name: str) -> Any:
    """``value.name``: a method, or else an item, or else something undefined."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()  # noqa: SLF001 - what Jinja's own attribute access calls
    if isinstance(value, Namespace):
        return value.attributes.get(name, Undefined(obj=value, name=name))
    method = _method(budget, value, name)
    if method is not None:
        return method
    try:
        return value[name] if isinstance(value, dict) else Undefined(obj=value, name=name)
    except KeyError:
        return Undefined(obj=value, name=name)


def item_of(budget: Budget, value: Any, key: Any) -> Any:
    """``value[key]``: an item, a slice, or else a method, or else something undefined."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()  # noqa: SLF001 - the same
    if isinstance(key, slice):
        if not isinstance(value, str | list | tuple | range):
            raise TypeError(f"{type(value).__name__!r} object has no slices")
        return budget.charge(value[key])
    check_key(None if isinstance(key, Undefined) else key)
    try:
        if isinstance(value, str | list | tuple | dict | range):
            return value[key]
    except (TypeError, LookupError):
        pass
    if isinstance(value, Namespace) and key in value.attributes:
        return value.attributes[key]
    method = _method(budget, value, key) if isinstance(key, str) else None
    return Undefined(obj=value, name=key) if method is None else method


def _method(budget: Budget, value: Any, name: str) -> Any:
    """A method, or a property of a loop; None where Python has none of this name either.

    What Jinja's sandbox forbids is undefined, as there; a template may ask whether it is.

    Raises:
        TemplateError: Python has the method, Jinja would call it, and it is not offered here.
    """
    if name in properties_of(value):
        return getattr(value, name)
    method = methods_of(value).get(name)
    if method is not None:
        return Function(name, functools.partial(method, budget, value))
    if not hasattr(type(value), name):
        return None
    if name.startswith("_") or modifies_known_mutable(value, name):
        reason = f"access to attribute {name!r} of {type(value).__name__!r} object is unsafe."
        return Undefined(reason, name=name, obj=value, exc=SecurityError)
    kind = type(value).__name__
    raise TemplateError(f"the chat template uses {kind}.{name[:40]}, which is not offered")
