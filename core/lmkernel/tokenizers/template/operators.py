"""The operators of a chat template, each bounded in what it may make."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jinja2 import Undefined

from lmkernel.errors import TemplateError
from lmkernel.tokenizers.template.formatting import percent_format
from lmkernel.tokenizers.template.values import VIEWS, check_key

if TYPE_CHECKING:
    from lmkernel.tokenizers.template.budget import Budget

__all__ = ["apply_operator", "compare", "contains"]

_OPERANDS = (str, int, float, complex, list, tuple, Undefined)
_CONTAINERS = (list, tuple, dict, *VIEWS)
_MAX_EXPONENT = 1000

_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        "+": operator.add,
        "-": operator.sub,
        "*": operator.mul,
        "/": operator.truediv,
        "//": operator.floordiv,
        "%": operator.mod,
        "**": operator.pow,
    }
)
_COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        "eq": operator.eq,
        "ne": operator.ne,
        "lt": operator.lt,
        "lteq": operator.le,
        "gt": operator.gt,
        "gteq": operator.ge,
    }
)


def apply_operator(budget: Budget, name: str, left: Any, right: Any) -> Any:
    """``left name right``, as Python has it.

    Raises:
        TemplateError: the result would be over the limits.
        TypeError: the operator is not for such operands.
    """
    if name == "%" and isinstance(left, str):
        return percent_format(budget, left, right)
    for side in (left, right):
        if not isinstance(side, _OPERANDS):
            raise TypeError(f"unsupported operand for {name}: {type(side).__name__!r}")
    if name == "*":
        _expect_product(budget, left, right)
    if name == "**" and isinstance(right, int) and abs(right) > _MAX_EXPONENT:
        raise TemplateError(f"the chat template raises to a power over {_MAX_EXPONENT}")
    return budget.charge(_ARITHMETIC[name](left, right))


def compare(budget: Budget, name: str, left: Any, right: Any) -> Any:
    """A comparison by its name in Jinja's syntax tree, such as ``"lteq"`` or ``"notin"``.

    Raises:
        TemplateError: the operands are over the limits.
        TypeError: they cannot be compared.
    """
    if name in ("in", "notin"):
        return contains(budget, left, right) is (name == "in")
    if isinstance(left, _CONTAINERS) and isinstance(right, _CONTAINERS):
        budget.weigh(left, right)
    return _COMPARISONS[name](left, right)


def contains(budget: Budget, item: Any, container: Any) -> bool:
    """``item in container``, as Python has it.

    Raises:
        TemplateError: the container is over the limits.
        TypeError: it contains nothing.
    """
    if isinstance(container, str | range):
        return item in container
    if isinstance(container, (dict, VIEWS[0])):
        check_key(item)
        return item in container  # type: ignore[operator]  # a view of keys has the operator
    if isinstance(container, list | tuple):
        budget.weigh(item, container)
        return item in container
    return any(
        found is item or compare(budget, "eq", found, item) for found in budget.iterate(container)
    )


def _expect_product(budget: Budget, left: Any, right: Any) -> None:
    for sequence, times in ((left, right), (right, left)):
        if isinstance(sequence, str) and isinstance(times, int):
            budget.expect(characters=len(sequence) * times)
        elif isinstance(sequence, Sequence) and isinstance(times, int):
            budget.expect(items=len(sequence) * times)
