"""Rows as conversations, in the forms that public data sets have.

- ``messages`` or ``conversations``: a list of ``{"role", "content"}``, or of ``{"from", "value"}``;
  a message may have ``weight``, 0 or 1: whether it is learned
- a prompt (``prompt``, ``instruction``, ``question``, ``query``, ``problem``) and a completion
  (``completion``, ``response``, ``output``, ``answer``, ``solution``), each a text or such a list,
  of which the completion alone is learned; with none of these prompts, ``input`` is one

Beside them ``input`` or ``context``, which ends the prompt; ``system``; ``tools``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import InputError, shown
from lmkernel.training.data.rows import parsed_value

if TYPE_CHECKING:
    from lmkernel.training.data.rows import Row

__all__ = ["ASSISTANT", "Conversation", "read_conversation"]

ASSISTANT = "assistant"
Messages = list[dict[str, Any]]

_KNOWN: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "messages": ("messages", "conversations", "conversation"),
        "prompt": ("prompt", "instruction", "question", "query", "problem"),
        "completion": ("completion", "response", "output", "answer", "solution"),
        "input": ("input", "context"),
        "system": ("system",),
        "tools": ("tools",),
    }
)
"""The names that a column of each use may have, the first that is there; a setting names others."""
_SPEAKERS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("human", "user"), "user"),
        **dict.fromkeys(("gpt", "assistant", "model", "bot", "chatgpt", "bing", "bard"), ASSISTANT),
        "system": "system",
        **dict.fromkeys(("tool", "observation", "function_response"), "tool"),
    }
)
"""The roles of those that ``from`` names (ShareGPT)."""


@final
@dataclass(frozen=True)
class Conversation:
    """What a row says.

    Args:
        messages: oldest first.
        tools: schemas of functions, or None.
        columns: those that were used.
        texts: prompt and completion, where they are texts in columns of these names: they can be
            put together without a template.
        tools_column: where the schemas are from, or None.
    """

    messages: Messages
    tools: list[Any] | None
    columns: frozenset[str]
    texts: tuple[str, str] | None = None
    tools_column: str | None = None


def read_conversation(row: Row, columns: Mapping[str, str]) -> Conversation:
    """The conversation of a row.

    Args:
        row: in one of the forms above.
        columns: the names of columns that have others: ``messages``, ``prompt``, ``completion``,
            ``input``, ``system``, ``tools``.

    Raises:
        InputError: names the row, and the columns that are understood.
    """
    names = {use: _find(row, use, columns) for use in _KNOWN}
    if names["input"] == "input" and not names["prompt"]:
        names |= {"prompt": "input", "input": None}
    messages, texts, used = _read_turns(row, names, columns)
    system, tools = names["system"], names["tools"]
    own = bool(messages) and messages[0].get("role") == "system"
    if system and row.values.get(system) and not own:
        messages = [{"role": "system", "content": row.text(system)}, *messages]
        texts = None
    used += [name for name in (tools, None if own else system) if name]
    schemas = _tools(row, tools)
    if schemas:
        return Conversation(messages, schemas, frozenset(used), tools_column=tools)
    return Conversation(messages, None, frozenset(used), texts)


def _find(row: Row, use: str, columns: Mapping[str, str]) -> str | None:
    """The column of a use, by its name in the settings, or else the first known one."""
    if use in columns:
        return columns[use]
    return next((name for name in _KNOWN[use] if row.values.get(name) is not None), None)


def _read_turns(
    row: Row, names: Mapping[str, str | None], columns: Mapping[str, str]
) -> tuple[Messages, tuple[str, str] | None, list[str]]:
    """The messages, the texts where they can be put together, and the columns."""
    whole, prompt, completion = names["messages"], names["prompt"], names["completion"]
    wanted = "prompt" in columns or "completion" in columns
    if whole and not wanted:
        return _messages(row, whole), None, [whole]
    if not (prompt and completion):
        raise _unknown(row, columns)
    asked, said = row.column(prompt), row.column(completion)
    used = [prompt, completion]
    if not isinstance(asked, str) or not isinstance(said, str):
        before = [_as_asked(message) for message in _messages(row, prompt, "user")]
        return [*before, *_messages(row, completion, ASSISTANT)], None, used
    asked, said, more = row.text(prompt), row.text(completion), names["input"]
    texts = (asked, said) if prompt == columns.get("prompt", "prompt") else None
    if more:
        used.append(more)
        if row.values.get(more):
            asked, texts = f"{asked}\n\n{row.text(more)}", None
    user, assistant = ({"role": "user", "content": asked}, {"role": ASSISTANT, "content": said})
    return [user, assistant], texts, used


def _as_asked(message: dict[str, Any]) -> dict[str, Any]:
    """A message of a prompt, which is not learned, also where the assistant says it."""
    return {**message, "weight": 0} if message.get("role") == ASSISTANT else message


def _unknown(row: Row, columns: Mapping[str, str]) -> InputError:
    there = ", ".join(map(str, row.values)) or "none"
    whole, asked, said = (
        f"{first} (or {', '.join(others)})"
        for first, *others in (_KNOWN[use] for use in ("messages", "prompt", "completion"))
    )
    named = ", ".join(f"{use} is {name}" for use, name in columns.items())
    return InputError(
        f"{row.where}: expected the column {whole}, or {asked} with {said}; got the columns "
        f"{there}{f', where {named}' if named else ''}; columns (--column prompt=NAME --column "
        "completion=NAME) names others, and the objective causal learns a column text as it is"
    )


def _messages(row: Row, column: str, role: str = "") -> Messages:
    """A column's messages; a text is one by ``role``. Keys that hold nothing are left out."""
    value = row.column(column)
    if isinstance(value, str) and role:
        return [{"role": role, "content": row.text(column)}]
    value = parsed_value(value)
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise InputError(
            f"{row.where}: expected messages with role and content in the column {column!r}, "
            f"got {shown(value)}"
        )
    return [_message(row, column, item) for item in value]


def _message(row: Row, column: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A message with ``role`` and ``content``, in ShareGPT's words or not."""
    item = {k: _without_nothing(v) for k, v in given.items() if v is not None or k == "content"}
    _check_weight(row, column, item.get("weight", 1))
    if item.get("content") is None and "value" in item:
        item["content"] = item.pop("value")
    if "role" in item or "from" not in item:
        return item
    speaker = item["from"]
    if not isinstance(speaker, str) or speaker not in _SPEAKERS:
        raise InputError(
            f"{row.where}: expected from to be one of {', '.join(_SPEAKERS)} in the column "
            f"{column!r}, got {speaker!r:.60}"
        )
    rest = {key: value for key, value in item.items() if key != "from"}
    return {"role": _SPEAKERS[speaker], "content": None, **rest}


def _check_weight(row: Row, column: str, weight: Any) -> None:
    if not isinstance(weight, int | float) or weight not in (0, 1):
        raise InputError(
            f"{row.where}: expected the weight of a message in the column {column!r} to be 0 or "
            f"1, got {weight!r:.60}"
        )


def _tools(row: Row, column: str | None) -> list[Any] | None:
    if not column or not row.values.get(column):
        return None
    value = _without_nothing(parsed_value(row.values[column]))
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise InputError(
            f"{row.where}: expected a list of functions' schemas in the column {column!r}, "
            f"got {shown(value)}"
        )
    return value or None


def _without_nothing(value: Any) -> Any:
    """Without the keys that hold nothing: Parquet fills in those that other rows have."""
    if isinstance(value, Mapping):
        return {k: _without_nothing(v) for k, v in value.items() if v is not None}
    return [_without_nothing(v) for v in value] if isinstance(value, list | tuple) else value
