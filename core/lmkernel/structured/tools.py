"""A function that a model may call."""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Union, final, get_args, get_origin

from lmkernel.errors import InputError, shown

__all__ = ["Tool", "tool_of"]

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_PLAIN: Mapping[Any, str] = types.MappingProxyType(
    {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
)


@final
@dataclass(frozen=True)
class Tool:
    """What a model is told of a function.

    Args:
        name: letters, digits, ``_`` and ``-``, 64 at most.
        parameters: the JSON schema of its arguments, that of an object; empty for none.
        description: what it does.
        function: what is called; None where somebody else calls it.

    Raises:
        InputError: another name, or a schema of anything else.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    function: Callable[..., object] | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"tools: expected a name of letters, digits, _ and -, 64 at most, "
                f"got {shown(self.name)}"
            )
        none = {"properties": {}, "additionalProperties": False}
        schema = {"type": "object", **(self.parameters or none)}
        if schema["type"] != "object":
            raise InputError(
                f"tools: {self.name}: expected parameters of type object, got {schema['type']!r}"
            )
        schema.setdefault("properties", {})
        object.__setattr__(self, "parameters", schema)

    def document(self) -> dict[str, Any]:
        """As chat templates and OpenAI's interface have it."""
        told = {"description": self.description} if self.description else {}
        function = {"name": self.name, **told, "parameters": dict(self.parameters)}
        return {"type": "function", "function": function}

    def call(self, arguments: str) -> str:
        """What the function gives for arguments as JSON: a text as it is, else as JSON.

        Raises:
            InputError: there is no function, or no object of arguments.
        """
        if self.function is None:
            raise InputError(f"tools: {self.name} has no function here that could be called")
        try:
            given = json.loads(arguments)
        except ValueError as error:
            raise InputError(f"tools: {self.name}: expected arguments as JSON: {error}") from error
        if not isinstance(given, dict):
            raise InputError(f"tools: {self.name}: expected an object, got {arguments:.80}")
        result = self.function(**given)
        return result if isinstance(result, str) else json.dumps(result, default=str)


def tool_of(function: Callable[..., object]) -> Tool:
    """A Python function as a tool: its name, docstring, and the types of its parameters.

    Args:
        function: its parameters have annotations of text, numbers, booleans, ``Literal``, ``list``,
            ``dict``, and unions of these.

    Raises:
        InputError: a parameter has no annotation, or one that JSON has no words for.
    """
    name = getattr(function, "__name__", repr(function))
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError) as error:
        raise InputError(f"tools: {name}: its annotations cannot be read: {error}") from error
    properties: dict[str, Any] = {}
    required = []
    for one in inspect.signature(function).parameters.values():
        where = f"tools: {name}: parameter {one.name}"
        if one.kind in {one.VAR_POSITIONAL, one.VAR_KEYWORD, one.POSITIONAL_ONLY}:
            raise InputError(f"{where}: expected one that can be given by its name")
        if one.name not in hints:
            raise InputError(f"{where}: expected an annotation")
        properties[one.name] = _schema(hints[one.name], where)
        if one.default is one.empty:
            required.append(one.name)
    schema = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return Tool(name, schema, inspect.getdoc(function) or "", function)


def _schema(hint: Any, where: str) -> dict[str, Any]:
    """The JSON schema of an annotation."""
    if isinstance(hint, type) and hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in {Union, types.UnionType}:
        return {"anyOf": [_schema(one, where) for one in inner]}
    if hint is list or origin in {list, Sequence}:
        return {"type": "array", **({"items": _schema(inner[0], where)} if inner else {})}
    if hint is dict or origin in {dict, Mapping}:
        more = {"additionalProperties": _schema(inner[1], where)} if inner else {}
        return {"type": "object", **more}
    raise InputError(
        f"{where}: expected str, int, float, bool, None, Literal, list, dict or a union of them, "
        f"got {shown(hint)}"
    )
