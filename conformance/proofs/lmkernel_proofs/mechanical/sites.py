"""Finds where a source can be mutated, in the order of its text; each change has a stable name.

Constraint: only what computes is mutated: no string, docstring, annotation, decorator, default or
import, nothing inside ``raise``, and no condition that leads to a ``raise`` alone.
"""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

from lmkernel_proofs.mechanical.mutators import MUTATORS, Use, callee_name, number
from lmkernel_proofs.mechanical.sources import LOADING, SOURCES, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Change", "Site", "changes", "sites"]

_SKIPPED = (
    ast.Raise,
    ast.Assert,
    ast.Import,
    ast.ImportFrom,
    ast.Delete,
    ast.JoinedStr,
    ast.arguments,
    ast.Nonlocal,
)
_FIELDS = frozenset({"annotation", "decorator_list", "returns", "ctx", "targets", "target"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@final
@dataclass(frozen=True)
class Change:
    """One mutant of a source.

    Args:
        id: name, such as ``composed/attention.py:_weights:compare.2``.
        source: module that is changed.
        function: qualified name of the function, or of a number at the top of the module.
        mutator: name of the mutator in `MUTATORS`.
        before: code of the node.
        after: code in its place.
        lines: first and last line of the statement; a case that runs one of them reaches it.
        top: names at the top of the module that get another value; empty inside a function.
    """

    id: str
    source: Source
    function: str
    mutator: str
    before: str
    after: str
    lines: tuple[int, int]
    top: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The code before and after, in a line."""
        return f"{self.before} → {self.after}"


@final
@dataclass(frozen=True)
class Site:
    """A change with its place in one tree.

    Args:
        change: change to make.
        place: list or node that holds the old node, and the index or field there.
        new: node to put in its place.
        around: functions around it, outermost first.
        statement: statement at the top of the module around it.
    """

    change: Change
    place: tuple[Any, Any]
    new: ast.AST
    around: tuple[ast.AST, ...]
    statement: ast.stmt

    def apply(self) -> None:
        """Change the tree in place."""
        holder, key = self.place
        if isinstance(holder, list):
            holder[key] = self.new
        else:
            setattr(holder, key, self.new)


@final
@dataclass(frozen=True)
class _Spot:
    """What is known about a place on the way down the tree."""

    source: Source
    statement: ast.stmt
    lines: tuple[int, int] = (0, 0)
    names: tuple[str, ...] = ()
    around: tuple[ast.AST, ...] = ()
    top: tuple[str, ...] = ()
    shaping: bool = False
    seen: Counter[str] = field(default_factory=Counter, compare=False)


def changes() -> list[Change]:
    """Every mechanical mutant, in order."""
    return [site.change for source in SOURCES for site in sites(source, source.tree())]


def sites(source: Source, tree: ast.Module) -> Iterator[Site]:
    """Every change that can be made to a tree, with its place.

    Only three kinds of statement at the top of a module compute: definitions, numbers, and calls
    that register a lambda.
    """
    seen: Counter[str] = Counter()
    for statement in tree.body:
        spot = _Spot(source, statement, seen=seen)
        if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
            yield from _function(statement, spot)
        elif isinstance(statement, ast.Assign) and not _names(statement)[0].startswith("__"):
            yield from _top(statement, spot)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            yield from _lambda_arguments(statement.value, spot)


def _names(statement: ast.Assign) -> tuple[str, ...]:
    found = [n.id for n in ast.walk(statement.targets[0]) if isinstance(n, ast.Name)]
    return tuple(found) or ("__",)


def _top(statement: ast.Assign, spot: _Spot) -> Iterator[Site]:
    """Changes of numbers at the top of a module, and of expressions over them."""
    names = _names(statement)
    if not any(isinstance(n, ast.Lambda) for n in ast.walk(statement)):
        lines = (statement.lineno, statement.end_lineno or statement.lineno)
        here = replace(spot, lines=lines, names=names[:1], top=names)
        yield from _inside(statement, "value", here)


def _lambda_arguments(call: ast.Call, spot: _Spot) -> Iterator[Site]:
    """Changes inside lambdas that are arguments of a call at the top of a module."""
    first = ast.unparse(call.args[0]) if call.args else ""
    name = f"{ast.unparse(call.func)}({first})"
    for x in call.args:
        if isinstance(x, ast.Lambda):
            lines = (x.lineno, x.end_lineno or x.lineno)
            here = replace(spot, lines=lines, names=(name,), around=(x,))
            yield from _inside(x, "body", here)


def _function(node: Any, spot: _Spot) -> Iterator[Site]:
    """Changes inside a class, or inside a function and the functions that it defines."""
    around = (*spot.around, node) if isinstance(node, _FUNCTIONS) else spot.around
    here = replace(spot, names=(*spot.names, node.name), around=around)
    computes = isinstance(node, _FUNCTIONS) and not _only_assembles(here)
    for i, child in enumerate(node.body):
        if isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
            yield from _function(child, here)
        elif computes and not _only_refuses(child):
            yield from _node(child, Use(node, "body"), (node.body, i), _at(here, child))


def _only_assembles(spot: _Spot) -> bool:
    return f"{spot.source.label}:{'.'.join(spot.names)}" in LOADING


def _at(spot: _Spot, node: Any) -> _Spot:
    """The spot of a statement; one that holds others has the lines of its head alone.

    A loop or branch is reached when its head runs, and not only when its body does.
    """
    end = node.end_lineno
    if hasattr(node, "body") and isinstance(node.body, list):
        end = max(node.lineno, node.body[0].lineno - 1)
    return replace(spot, lines=(node.lineno, end))


def _only_refuses(node: ast.AST) -> bool:
    """Whether a statement does nothing but refuse bad input."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return callee_name(node.value) in ("require", "require_known_options")
    only = isinstance(node, ast.If) and not node.orelse
    return only and all(isinstance(x, ast.Raise) for x in node.body)  # type: ignore[attr-defined]  # an If


def _inside(parent: ast.AST, name: str, spot: _Spot) -> Iterator[Site]:
    """Changes of the nodes in one field."""
    value = getattr(parent, name, None)
    if isinstance(value, ast.AST):
        yield from _node(value, Use(parent, name), (parent, name), spot)
    elif isinstance(value, list):
        for i, child in enumerate(value):
            if isinstance(child, ast.AST):
                yield from _node(child, Use(parent, name), (value, i), spot)


def _node(node: ast.AST, use: Use, place: tuple[Any, Any], spot: _Spot) -> Iterator[Site]:
    if isinstance(node, _SKIPPED) or _only_refuses(node) or _is_doc(node):
        return
    if isinstance(node, _FUNCTIONS):
        yield from _function(node, spot)
        return
    if isinstance(node, ast.stmt):
        spot = _at(spot, node)
    # The -1 of a reshape stands for "the rest": no other number means anything in its place.
    if not (spot.shaping and number(node) == -1):
        yield from _mutants(node, use, place, spot)
    # A negative number is two nodes and one constant: going on inside would change it twice.
    if number(node) is not None or _row_of_axes(node, use):
        return
    if isinstance(node, ast.Call) and callee_name(node) == "reshape":
        spot = replace(spot, shaping=True)
    for name in (x for x in node._fields if x not in _FIELDS):
        yield from _inside(node, name, spot)


def _mutants(node: ast.AST, use: Use, place: tuple[Any, Any], spot: _Spot) -> Iterator[Site]:
    for name, mutator in MUTATORS.items():
        for new in mutator(node, use):
            yield _site(name, node, new, place, spot)


def _is_doc(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _row_of_axes(node: ast.AST, use: Use) -> bool:
    """Whether it is a permutation of axes, which `_order` changes as a whole.

    With another number among them it would be no permutation, and only crash.
    """
    many = isinstance(node, ast.Tuple) and len(node.elts) > 2  # noqa: PLR2004 - a row
    given = isinstance(use.parent, ast.Call)
    return many and given and all(number(x) is not None for x in node.elts)  # type: ignore[attr-defined]  # a tuple


def _site(mutator: str, node: Any, new: Any, place: tuple[Any, Any], spot: _Spot) -> Site:
    function = ".".join(spot.names)
    stem = f"{spot.source.label}:{function}:{mutator}"
    spot.seen[stem] += 1
    change = Change(
        id=f"{stem}.{spot.seen[stem]}",
        source=spot.source,
        function=function,
        mutator=mutator,
        before=_text(node),
        after=_text(new),
        lines=spot.lines,
        top=spot.top,
    )
    return Site(change, place, new, spot.around, spot.statement)


def _text(node: ast.AST) -> str:
    """The code of a node in one line."""
    return " ".join(ast.unparse(node).split())
