"""The tests of a chat template: ``is defined``, ``is string`` and their kin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jinja2 import tests
from jinja2.runtime import Macro

from lmkernel.errors import TemplateError
from lmkernel.tokenizers.template.operators import apply_operator, compare, contains
from lmkernel.tokenizers.template.values import Function

if TYPE_CHECKING:
    from lmkernel.tokenizers.template.budget import Budget

__all__ = ["apply_test"]

_Test = Callable[..., bool]  # of the budget, the value, and the test's own arguments

_COMPARISONS = {
    "eq": ("==", "eq", "equalto"),
    "ne": ("!=", "ne"),
    "lt": ("<", "lt", "lessthan"),
    "lteq": ("<=", "le"),
    "gt": (">", "gt", "greaterthan"),
    "gteq": (">=", "ge"),
}
_JINJAS_OWN = """
    boolean defined false float integer mapping none number sameas sequence string true undefined
"""


def apply_test(
    budget: Budget, name: str, value: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> bool:
    """``value is name(*args, **kwargs)``.

    Raises:
        TemplateError: there is no such test.
    """
    if name not in _TESTS:
        raise TemplateError(f"the chat template uses the test {name[:40]!r}, which is not offered")
    budget.step()
    return _TESTS[name](budget, value, *args, **kwargs)


def _jinjas_own(name: str) -> _Test:
    test: Any = tests.TESTS[name]
    return lambda _, value, *args: bool(test(value, *args))


def _comparison(name: str) -> _Test:
    return lambda budget, value, other: bool(compare(budget, name, value, other))


def _remainder(budget: Budget, value: Any, by: Any) -> Any:
    if isinstance(value, str):
        raise TypeError("expected a number, got a text")
    return apply_operator(budget, "%", value, by)


def _is_iterable(budget: Budget, value: Any) -> bool:
    try:
        budget.iterate(value)
    except TypeError:
        return False
    return True


_TESTS: Mapping[str, _Test] = MappingProxyType(
    {name: _jinjas_own(name) for name in _JINJAS_OWN.split()}
    | {name: _comparison(operator) for operator, names in _COMPARISONS.items() for name in names}
    | {
        "callable": lambda _, value: isinstance(value, Function | Macro),
        "divisibleby": lambda budget, value, num: _remainder(budget, value, num) == 0,
        "even": lambda budget, value: _remainder(budget, value, 2) == 0,
        "odd": lambda budget, value: _remainder(budget, value, 2) == 1,
        "in": contains,
        "iterable": _is_iterable,
        "lower": lambda budget, value: budget.text(value).islower(),
        "upper": lambda budget, value: budget.text(value).isupper(),
    }
)
