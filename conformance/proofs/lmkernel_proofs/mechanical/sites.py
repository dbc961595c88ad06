"""Where a source can be mutated, in the order of the text; each change has a stable name.

Constraints: only what computes is mutated: no string, docstring, annotation, decorator, default or
import, nothing inside ``raise``, and no condition that leads to nothing else.
"""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

from lmkernel_proofs.mechanical.mutators import MUTATORS, Use, called, number
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
        id: such as ``composed/attention.py:_weights:compare.2``.
        source: the module.
        function: its qualified name, or that of a number at the top of the module.
        mutator: what was done, of `MUTATORS`.
        before: the text of the node.
        after: the text in its place.
        lines: the first and last line whose running means that it was reached.
        top: the names that it gives another value, where it is not in a function.
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
        """What is changed, in a line."""
        return f"{self.before} → {self.after}"


@final
@dataclass(frozen=True)
class Site:
    """A change with its place in one tree.

    Args:
        change: what is done.
        place: the list or the node that holds the old node, and the index or field there.
        new: the new node.
        around: the functions that it is in, from the outermost.
        statement: the statement at the top of the module that it is in.
    """

    change: Change
    place: tuple[Any, Any]
    new: ast.AST
    around: tuple[ast.AST, ...]
    statement: ast.stmt

    def apply(self) -> None:
        """Change the tree."""
        holder, key = self.place
        if isinstance(holder, list):
            holder[key] = self.new
        else:
            setattr(holder, key, self.new)


@final
@dataclass(frozen=True)
class _Spot:
    """What is known of a place on the way down."""

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
    """Every place of a tree that can be changed, with every change."""
    seen: Counter[str] = Counter()
    for statement in tree.body:
        spot = _Spot(source, statement, seen=seen)
        if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
            yield from _function(statement, spot)
        elif isinstance(statement, ast.Assign) and not _names(statement)[0].startswith("__"):
            yield from _top(statement, spot)
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            yield from _registered(statement.value, spot)


def _names(statement: ast.Assign) -> tuple[str, ...]:
    found = [n.id for n in ast.walk(statement.targets[0]) if isinstance(n, ast.Name)]
    return tuple(found) or ("__",)


def _top(statement: ast.Assign, spot: _Spot) -> Iterator[Site]:
    """Numbers at the top of a module, and what is computed of them."""
    names = _names(statement)
    if not any(isinstance(n, ast.Lambda) for n in ast.walk(statement)):
        lines = (statement.lineno, statement.end_lineno or statement.lineno)
        here = replace(spot, lines=lines, names=names[:1], top=names)
        yield from _inside(statement, "value", here)


def _registered(call: ast.Call, spot: _Spot) -> Iterator[Site]:
    """Functions without a name that a call at the top of a module is given."""
    first = ast.unparse(call.args[0]) if call.args else ""
    name = f"{ast.unparse(call.func)}({first})"
    for x in call.args:
        if isinstance(x, ast.Lambda):
            lines = (x.lineno, x.end_lineno or x.lineno)
            here = replace(spot, lines=lines, names=(name,), around=(x,))
            yield from _inside(x, "body", here)


def _function(node: Any, spot: _Spot) -> Iterator[Site]:
    """What is in a class, or in a function and those that it makes."""
    around = (*spot.around, node) if isinstance(node, _FUNCTIONS) else spot.around
    here = replace(spot, names=(*spot.names, node.name), around=around)
    computes = isinstance(node, _FUNCTIONS) and not _loading(here)
    for i, child in enumerate(node.body):
        if isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
            yield from _function(child, here)
        elif computes and not _refusing(child):
            yield from _node(child, Use(node, "body"), (node.body, i), _at(here, child))


def _loading(spot: _Spot) -> bool:
    return f"{spot.source.label}:{'.'.join(spot.names)}" in LOADING


def _at(spot: _Spot, node: Any) -> _Spot:
    """The lines of a statement; of one that holds others, those of its head."""
    end = node.end_lineno
    if hasattr(node, "body") and isinstance(node.body, list):
        end = max(node.lineno, node.body[0].lineno - 1)
    return replace(spot, lines=(node.lineno, end))


def _refusing(node: ast.AST) -> bool:
    """Whether it is there to refuse what is wrong, and for nothing else."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return called(node.value) in ("require", "known_options")
    only = isinstance(node, ast.If) and not node.orelse
    return only and all(isinstance(x, ast.Raise) for x in node.body)  # type: ignore[attr-defined]  # an If


def _inside(parent: ast.AST, name: str, spot: _Spot) -> Iterator[Site]:
    """The nodes of one field; an extent of -1 has no neighbour that means anything."""
    value = getattr(parent, name, None)
    if isinstance(value, ast.AST):
        yield from _node(value, Use(parent, name), (parent, name), spot)
    elif isinstance(value, list):
        for i, child in enumerate(value):
            if isinstance(child, ast.AST):
                yield from _node(child, Use(parent, name), (value, i), spot)


def _node(node: ast.AST, use: Use, place: tuple[Any, Any], spot: _Spot) -> Iterator[Site]:
    if isinstance(node, _SKIPPED) or _refusing(node) or _is_doc(node):
        return
    if isinstance(node, _FUNCTIONS):
        yield from _function(node, spot)
        return
    if isinstance(node, ast.stmt):
        spot = _at(spot, node)
    if not (spot.shaping and number(node) == -1):
        yield from _mutated(node, use, place, spot)
    if number(node) is not None or _row_of_axes(node, use):
        return
    if isinstance(node, ast.Call) and called(node) == "reshape":
        spot = replace(spot, shaping=True)
    for name in (x for x in node._fields if x not in _FIELDS):
        yield from _inside(node, name, spot)


def _mutated(node: ast.AST, use: Use, place: tuple[Any, Any], spot: _Spot) -> Iterator[Site]:
    for name, mutator in MUTATORS.items():
        for new in mutator(node, use):
            yield _site(name, node, new, place, spot)


def _is_doc(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _row_of_axes(node: ast.AST, use: Use) -> bool:
    """Axes are exchanged as a whole: another number among them is no permutation."""
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
    """In one line."""
    return " ".join(ast.unparse(node).split())
