"""Installs a mutant in the running modules, and takes it out again.

Constraints: nothing is imported again and no file is written. Live functions get another code
object, so that everybody who holds one runs the mutant; a number at the top of a module gets its
other value there.
"""

from __future__ import annotations

import ast
import contextlib
import gc
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from lmkernel_proofs.mechanical.sites import Change, Site, sites

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["install", "live_functions"]

_Key = tuple[str, str, int]
Live = dict[str, list[FunctionType]]


def live_functions() -> Live:
    """Every function of this process, by its file.

    From the garbage collector, since a closure or a table may hold a function that no module names.
    """
    found: Live = {}
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType):
            found.setdefault(thing.__code__.co_filename, []).append(thing)
    return found


@contextlib.contextmanager
def install(change: Change, live: Live | None = None) -> Iterator[None]:
    """Run the block with the mutant installed.

    Args:
        change: mutant, one of `changes`.
        live: result of `live_functions`, where the caller has it already.

    Raises:
        LookupError: the source has no such change, or no live function holds the code.
    """
    change.source.load()
    own = (live or live_functions()).get(change.source.file, [])
    undo = _rebind_names(change) if change.top else _exchange_code(change, own)
    if not undo:
        raise LookupError(f"{change.id}: nothing that runs holds the code that it changes")
    try:
        yield
    finally:
        for thing, name, value in undo:
            setattr(thing, name, value)


def _exchange_code(change: Change, functions: list[FunctionType]) -> list[tuple[Any, str, Any]]:
    """Exchange the code of live functions; returns the attributes that undo it."""
    # Both compiled here, so that they differ in nothing but the change: the code that runs now may
    # be of another compilation (see `_keep_names`). A function is exchanged where the two differ.
    right, wrong = _codes(change, changed=False), _codes(change, changed=True)
    undo: list[tuple[Any, str, Any]] = []
    for f in functions:
        key = _key(f.__code__)
        if right.get(key) != wrong.get(key):
            undo.append((f, "__code__", f.__code__))
            f.__code__ = wrong[key]
    return undo


def _codes(change: Change, *, changed: bool) -> dict[_Key, CodeType]:
    """Compile the source and return the code of all its functions."""
    tree = change.source.tree()
    site = _find(change, tree)
    _keep_names(site)
    if changed:
        site.apply()
    ast.fix_missing_locations(tree)
    whole = compile(tree, change.source.file, "exec", dont_inherit=True)
    return {_key(code): code for code in _inner(whole)}


def _find(change: Change, tree: ast.Module) -> Site:
    for site in sites(change.source, tree):
        if site.change.id == change.id:
            return site
    raise LookupError(f"{change.source.label} has no {change.id}")


def _keep_names(site: Site) -> None:
    """Make every inner function name all that it names now, whatever the change removes.

    Python refuses to exchange code whose number of free variables differs. A branch that never
    runs keeps the closure as it is when the mutant drops the last use of a variable.
    """
    inner = [f for f in site.around[1:] if isinstance(f, ast.FunctionDef)]
    for f in inner:
        names = {x.id for x in ast.walk(f) if isinstance(x, ast.Name)}
        reads: list[ast.stmt] = [ast.Expr(ast.Name(name, ast.Load())) for name in sorted(names)]
        never = ast.If(ast.Constant(value=False), reads, [])
        start = 1 if ast.get_docstring(f) else 0
        f.body.insert(start, ast.copy_location(never, f.body[start]))


def _inner(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _inner(constant)


def _key(code: CodeType) -> _Key:
    return (code.co_filename, code.co_qualname, code.co_firstlineno)


def _rebind_names(change: Change) -> list[tuple[Any, str, Any]]:
    """Rebind names of a module by running the changed statement; returns what undoes it."""
    tree = change.source.tree()
    site = _find(change, tree)
    site.apply()
    module = change.source.load()
    scope = dict(vars(module))
    only = ast.fix_missing_locations(ast.Module([site.statement], []))
    exec(compile(only, change.source.file, "exec"), scope)  # noqa: S102 - a statement of our own
    undo: list[tuple[Any, str, Any]] = []
    for name in change.top:
        undo.append((module, name, getattr(module, name)))
        setattr(module, name, scope[name])
    return undo
