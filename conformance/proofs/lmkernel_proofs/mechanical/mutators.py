"""Mutators: functions that yield the nodes which may replace a node of a syntax tree.

Constraint: a mutator sees one node and how it is used, and changes nothing in place. It is as small
as an honest slip, and leaves out what could only crash or change nothing.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel_proofs.mechanical.tables import (
    ARITHMETIC,
    COMPARE,
    NAMES,
    OPTIONAL,
    UNORDERED,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["MUTATORS", "Use", "callee_name", "number"]


@final
@dataclass(frozen=True)
class Use:
    """Where a node stands in the tree.

    Args:
        parent: node around it.
        field: name of the parent's field that holds it.
    """

    parent: ast.AST
    field: str


_TINY = 1e-3
"""Numbers below it, such as an ε, are multiplied by ten: 1 % of them would drown in rounding."""


def _copy_with(node: Any, **fields: Any) -> Any:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _arithmetic(node: ast.AST, _: Use) -> Iterator[ast.AST]:
    """Exchange an operator for its opposite."""
    known = isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in ARITHMETIC
    if known and not _words(node):
        yield _copy_with(node, op=ARITHMETIC[type(node.op)]())  # type: ignore[attr-defined]  # it has one
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitAnd, ast.BitOr)):
        yield _copy_with(node, op=ast.BitOr() if isinstance(node.op, ast.BitAnd) else ast.BitAnd())


def _words(node: ast.AST) -> bool:
    """Whether the operator joins or repeats a text, which computes nothing."""
    return any(isinstance(x, ast.Constant) and isinstance(x.value, str) for x in _sides(node))


def _sides(node: ast.AST) -> list[ast.AST]:
    return [node.left, node.right] if isinstance(node, ast.BinOp) else []


def _compare(node: ast.AST, _: Use) -> Iterator[ast.AST]:
    """Move the boundary of a comparison, and turn it round."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for other in COMPARE.get(type(node.ops[0]), ()):
            yield _copy_with(node, ops=[other()])


def number(node: ast.AST) -> int | float | None:
    """The value of a numeric literal, its sign included."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inside = number(node.operand)
        return None if inside is None else -inside
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value]  # checked the line before
    return None


def _constant(node: ast.AST, use: Use) -> Iterator[ast.AST]:
    """Take the next integer, a float 1 % larger, ten times a tiny one, axis 0 for axis -1."""
    value = number(node)
    if value is None:
        return
    if isinstance(value, int):
        yield _literal(node, value - 1 if value < 0 else value + 1)
        # -1 in a call is nearly always the last axis, and a slip there gives the first.
        if value == -1 and isinstance(use.parent, (ast.Call, ast.keyword)):
            yield _literal(node, 0)
    else:
        factor = 10 if abs(value) < _TINY else 1.01
        yield _literal(node, float(f"{value * factor:.12g}") if value else 1.0)


def _literal(node: Any, value: float) -> ast.AST:
    new = ast.copy_location(ast.Constant(abs(value)), node)
    return new if value >= 0 else ast.copy_location(ast.UnaryOp(ast.USub(), new), node)


def _boolean(node: ast.AST, use: Use) -> Iterator[ast.AST]:
    """Exchange True and False, but for ``strict=``, which only decides what is refused."""
    refusing = isinstance(use.parent, ast.keyword) and use.parent.arg == "strict"
    if isinstance(node, ast.Constant) and isinstance(node.value, bool) and not refusing:
        yield _copy_with(node, value=not node.value)


def _keyword(node: ast.AST, _: Use) -> Iterator[ast.AST]:
    """Leave out a keyword argument that has a default."""
    if isinstance(node, ast.Call):
        for word in node.keywords:
            if word.arg in OPTIONAL:
                yield _copy_with(node, keywords=[k for k in node.keywords if k is not word])


def callee_name(node: ast.Call) -> str:
    """The last name of the function that a call names, or an empty text."""
    f = node.func
    return f.attr if isinstance(f, ast.Attribute) else f.id if isinstance(f, ast.Name) else ""


def _swap(node: ast.AST, _: Use) -> Iterator[ast.AST]:
    """Exchange the last two arguments, where that could go unnoticed."""
    if not isinstance(node, ast.Call) or callee_name(node) in UNORDERED:
        return
    pair = node.args[-2:]
    if len(pair) == len({ast.dump(x) for x in pair}) == 2 and all(map(_plain, pair)):  # noqa: PLR2004 - a pair
        yield _copy_with(node, args=[*node.args[:-2], pair[1], pair[0]])


def _plain(x: ast.AST) -> bool:
    """Whether an expression may be an array: exchanging anything else could only crash."""
    literal = number(x) is not None or isinstance(x, (ast.Constant, ast.Tuple, ast.List))
    whole = isinstance(x, ast.Name) and x.id in ("ops", "c", "config", "params", "dtype")
    return not (literal or whole or isinstance(x, (ast.Starred, ast.Lambda)))


def _order(node: ast.AST, use: Use) -> Iterator[ast.AST]:
    """Exchange neighbours in a pair, or in a permutation of axes."""
    if not isinstance(node, (ast.List, ast.Tuple)) or isinstance(use.parent, ast.Subscript):
        return
    elements = node.elts
    axes = len(elements) > 2 and all(number(x) is not None for x in elements)  # noqa: PLR2004 - rows of axes
    given = isinstance(use.parent, (ast.Call, ast.Return)) and len(elements) == 2  # noqa: PLR2004 - a pair
    if axes:
        yield _copy_with(node, elts=[elements[1], elements[0], *elements[2:]])
        yield _copy_with(node, elts=[*elements[:-2], elements[-1], elements[-2]])
    elif given and all(map(_plain, elements)) and number(elements[0]) is None:
        yield _copy_with(node, elts=elements[::-1])


def _slice(node: ast.AST, _: Use) -> Iterator[ast.AST]:
    """Move a bound of a slice by one."""
    if isinstance(node, ast.Slice):
        for name in ("lower", "upper"):
            bound = getattr(node, name)
            # A literal bound is the business of the mutator of constants.
            if bound is not None and number(bound) is None:
                moved = ast.BinOp(bound, ast.Add(), ast.Constant(1))
                yield _copy_with(node, **{name: ast.copy_location(moved, bound)})


def _condition(node: ast.AST, use: Use) -> Iterator[ast.AST]:
    """Negate a test, and exchange ``and`` and ``or``."""
    if isinstance(node, ast.BoolOp):
        yield _copy_with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    if use.field in ("test", "ifs") and isinstance(node, ast.expr) and not _is_comparison(node):
        yield ast.copy_location(ast.UnaryOp(ast.Not(), node), node)


def _is_comparison(node: ast.AST) -> bool:
    """Whether `_compare` turns it round already."""
    return isinstance(node, ast.Compare) and len(node.ops) == 1


def _minus(node: ast.AST, _: Use) -> Iterator[ast.AST]:
    """Drop a sign or a negation."""
    signs = (ast.USub, ast.Invert, ast.Not)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, signs) and number(node) is None:
        yield node.operand


def _name(node: ast.AST, use: Use) -> Iterator[ast.AST]:
    """Call a function's sibling, such as ``max`` for ``min``."""
    if not (isinstance(use.parent, ast.Call) and use.field == "func"):
        return
    if isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield _copy_with(node, attr=NAMES[node.attr])
    if isinstance(node, ast.Name) and node.id in ("min", "max", "any", "all"):
        yield _copy_with(node, id=NAMES[node.id])


def _term(node: ast.AST, _: Use) -> Iterator[ast.AST]:
    """Drop the second term of a sum or factor of a product."""
    kept = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.BitAnd)
    if isinstance(node, ast.BinOp) and isinstance(node.op, kept) and not _words(node):
        yield node.left


def _statement(node: ast.AST, _: Use) -> Iterator[ast.AST]:
    """Leave out a statement that works in place."""
    done = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    if isinstance(node, ast.AugAssign) or done:
        yield ast.copy_location(ast.Pass(), node)


MUTATORS: Mapping[str, Callable[[ast.AST, Use], Iterator[ast.AST]]] = MappingProxyType(
    {
        "arithmetic": _arithmetic,
        "boolean": _boolean,
        "compare": _compare,
        "condition": _condition,
        "constant": _constant,
        "keyword": _keyword,
        "minus": _minus,
        "name": _name,
        "order": _order,
        "slice": _slice,
        "statement": _statement,
        "swap": _swap,
        "term": _term,
    }
)
"""The mutators by name, which is part of the name of a mutant."""
