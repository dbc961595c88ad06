"""The limits inside a chat template: where it counts its steps, and how large a value may grow.

A template's syntax tree is rewritten before it is compiled: each loop and macro spends a step first
and ``~`` joins through a function that looks at sizes. Operators are asked about beforehand.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, final

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from lmkernel.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["check_method", "check_operation", "guard_template"]

MAX_SIZE = 4_000_000  # characters or items that an operator may make
MAX_NUMBER = 10**9  # a whole number that a template may hold, so that no padding is larger
_WIDE = re.compile(r"\d{7,}")

_Loop = TypeVar("_Loop", nodes.For, nodes.Macro, nodes.CallBlock)


def guard_template(tree: nodes.Template) -> nodes.Template:
    """Put the limits into a template's syntax tree, in place."""
    _Guards().visit(tree)
    return tree


def check_operation(operator: str, left: Any, right: Any) -> None:
    """Refuse an operation whose result would be over the limits.

    Raises:
        TemplateError: it would.
    """
    if not _FITS[operator](left, right):
        raise TemplateError(f"the chat template makes too large a value with {operator!r}")


def check_method(method: Any, args: Sequence[Any]) -> None:
    """Refuse ``text.join(…)`` or ``text.replace(…)`` whose result would be over the limit.

    Raises:
        TemplateError: it would, or what is to be joined cannot be counted beforehand.
    """
    text, name = getattr(method, "__self__", None), getattr(method, "__name__", "")
    if isinstance(text, str) and name in _METHODS and not _METHODS[name](text, *args):
        raise TemplateError(f"the chat template makes too large a value with {name!r}")


@final
class _Guards(NodeTransformer):
    """Rewrites loops, macros and joins, and looks at constants."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 - the visitor's naming
        return self._count_steps(node)

    def visit_Macro(self, node: nodes.Macro) -> nodes.Macro:  # noqa: N802 - the same
        return self._count_steps(node)

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.CallBlock:  # noqa: N802 - the same
        return self._count_steps(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Call:  # noqa: N802 - the same
        self.generic_visit(node)
        return _call("lmkernel_join", node.nodes, node.lineno)

    def visit_Const(self, node: nodes.Const) -> nodes.Const:  # noqa: N802 - the same
        if isinstance(node.value, int) and abs(node.value) > MAX_NUMBER:
            raise TemplateError(f"the chat template holds the number {str(node.value)[:20]}")
        return node

    def _count_steps(self, node: _Loop) -> _Loop:
        self.generic_visit(node)
        step = nodes.ExprStmt(_call("lmkernel_step", [], node.lineno), lineno=node.lineno)
        node.body.insert(0, step)
        return node


def _call(name: str, args: list[nodes.Expr], line: int) -> nodes.Call:
    """A call of a method of the environment, which no variable of a template can shadow."""
    function = nodes.EnvironmentAttribute(name, lineno=line)
    return nodes.Call(function, args, [], None, None, lineno=line)


def _sum_fits(left: Any, right: Any) -> bool:
    return _size(left) + _size(right) <= MAX_SIZE


def _product_fits(left: Any, right: Any) -> bool:
    if isinstance(left, int) and isinstance(right, int):
        return abs(left * right) <= MAX_NUMBER
    times = next((side for side in (left, right) if isinstance(side, int)), 1)
    return max(_size(left), _size(right)) * times <= MAX_SIZE


def _power_fits(left: Any, right: Any) -> bool:
    whole = isinstance(left, int) and isinstance(right, int) and right > 0
    return not whole or abs(left) ** min(right, 64) <= MAX_NUMBER


def _format_fits(left: Any, _: Any) -> bool:
    return not (isinstance(left, str) and _WIDE.search(left))


def _join_fits(text: str, items: Any, *_: Any) -> bool:
    if not isinstance(items, (list, tuple, dict, str)):
        return False
    return len(text) * len(items) + sum(map(_size, items)) <= MAX_SIZE


def _replace_fits(text: str, old: str = "", new: str = "", *_: Any) -> bool:
    return len(text) + text.count(old) * len(new) <= MAX_SIZE


def _size(value: Any) -> int:
    return len(value) if hasattr(value, "__len__") else 0


_METHODS: Mapping[str, Callable[..., bool]] = MappingProxyType(
    {"join": _join_fits, "replace": _replace_fits}
)
_FITS: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {"+": _sum_fits, "*": _product_fits, "**": _power_fits, "%": _format_fits}
)
