"""Writes docs/api.md: every name of the public API, with its signature and its docstring.

``python docs/generate_api.py`` writes the page; a test compares it with `page`.
"""
# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from dataclasses import is_dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, is_typeddict

from api_surface import OLDER, VERSION, attributes, named, promised
from generate_reference import definition, prose, signature

from lmkernel.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).with_name("api.md")
MADE = "<!-- Made by docs/generate_api.py: change the code, and run it again. -->"
PROMISE = f"""\
What you may write in your own programs. [The quickstart](quickstart.ipynb) shows it at work, [the
glossary](glossary.md) says which word is which in other libraries.

## What is promised

- Every name on this page, with its keywords, is a line of [api/{VERSION}.txt](api/{VERSION}.txt). A
  test compares the code with that file, and each minor version's file with the one before.
- A name or a keyword is removed or renamed only after using it has given a `DeprecationWarning`
  that says what to write instead, in at least one minor version and for at least three months.
- Functions may get further keywords that have defaults, classes further methods and attributes,
  results further values in `json()`.
- What is marked *since 0.1* was there in 0.1; everything else is new in 0.2.
- Names that are written with their module, such as `lmkernel.load`, are imported from there. The
  others are classes of what functions return: rely on their methods and attributes, but not on the
  module that they are defined in, nor on their constructors.

Not promised: names that begin with an underscore, modules and names that are not on this page, and
the wording of what is printed. Numbers stay within the budgets of the conformance suite, but their
last bits may change with a faster kernel.

Plugins have [the contract](contract.md) instead. It has a version of its own, and what it promises
(`lmkernel.contract`, `lmkernel.config`, `lmkernel.interfaces`, `lmkernel.plugins` and more) stays
for a whole major version."""


def page() -> str:
    """The whole page."""
    parts = [MADE, "# The public API", PROMISE]
    for group, members in groupby(named(), key=lambda member: member[0]):
        parts.append(f"## {group}")
        for _, path, value in members:
            parts += _entry(path, value)
    return "\n\n".join(parts) + "\n"


def _entry(path: str, value: Any) -> Iterator[str]:
    since = " (since 0.1)" if path in OLDER else ""
    yield f"### `{path}`{since}"
    if not inspect.isclass(value):
        yield from _function(value)
    elif issubclass(value, Exception):
        yield from _error(value)
    else:
        yield from _class(path, value)


def _function(function: Any) -> Iterator[str]:
    yield f"```python\n{signature(definition(function))}\n```"
    yield prose(inspect.cleandoc(function.__doc__))


def _error(error: type) -> Iterator[str]:
    bases = ", ".join(f"`{base.__name__}`" for base in error.__bases__)
    text = inspect.cleandoc(error.__doc__ or "").partition("\n\n")[0]
    yield f"{prose(text)} A subclass of {bases}."


def _class(path: str, value: type) -> Iterator[str]:
    text, _, arguments = inspect.cleandoc(value.__doc__ or "").partition("Args:\n")
    arguments, _, rest = arguments.partition("\n\n")
    members = {n: m for n, m in vars(value).items() if _shown(path, n)}
    result = " A [`Result`](#result)." if Result in value.__bases__ else ""
    yield f"{prose(text.strip())}{result}"
    if path == "lmkernel.Model":  # the one class without fields that users make themselves
        made, *_ = _method(value.__name__, vars(value)["__init__"])
        yield made.replace(" -> None", f" -> {value.__name__}")
    if is_typeddict(value):
        keys = "\n".join(f"{n}: {t.__forward_arg__}" for n, t in value.__annotations__.items())
        yield f"```python\n{keys}\n```"
    if bullets := [*_attributes(path, value, arguments), *_properties(members)]:
        yield "\n".join(bullets)
    if rest:
        yield prose(rest)
    for name, member in members.items():
        if inspect.isfunction(getattr(member, "__func__", member)):
            yield f"#### `{path.rpartition('.')[2]}.{name}`"
            yield from _method(name, getattr(member, "__func__", member))


def _shown(path: str, name: str) -> bool:
    own = path == Result.__name__ or name not in vars(Result)
    return own and not name.startswith("_") and promised(f"{path}.{name}")


def _attributes(path: str, value: type, arguments: str) -> Iterator[str]:
    """Fields, and what a constructor keeps of its arguments, as its docstring tells of them."""
    fields = {f.name: f for f in dataclasses.fields(value)} if is_dataclass(value) else {}
    entries = re.split(r"^    ([a-z_0-9, ]+): ", arguments, flags=re.MULTILINE)[1:]
    for names, text in zip(entries[::2], entries[1::2], strict=True):
        own = [name for name in names.split(", ") if name in {*attributes(value), *fields}]
        if shown := [f"`{n}{_default(fields.get(n))}`" for n in own if _shown(path, n)]:
            yield f"- {', '.join(shown)}: {' '.join(prose(text).split())}"


def _default(field: dataclasses.Field[Any] | None) -> str:
    plain = field is not None and isinstance(field.default, bool | int | float | str | tuple)
    return f" = {field.default!r}" if field is not None and plain else ""


def _properties(members: dict[str, Any]) -> Iterator[str]:
    for name, member in members.items():
        if isinstance(member, property | cached_property):
            getter: Any = member.fget if isinstance(member, property) else member.func
            kind = getter.__annotations__["return"]
            text = " ".join(prose(inspect.cleandoc(getter.__doc__)).split())
            text = text.replace("*Raises* - ", "Raises ")
            yield f"- `{name}: {kind}`: {text}"


def _method(name: str, function: Any) -> Iterator[str]:
    """A method: its first argument is the object, whatever it is called."""
    found = definition(function)
    found.name, first = name, found.args.args[0].arg
    found.args.args = found.args.args[1:]
    yield f"```python\n{signature(found)}\n```"
    doc = inspect.cleandoc(ast.get_docstring(found) or "")
    yield prose(re.sub(rf"^    {first}: .*\n(     +.*\n)*", "", doc, flags=re.MULTILINE))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
