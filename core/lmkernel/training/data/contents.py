"""What the messages of a conversation hold, in the form that a chat template understands.

What a message holds beside its content is written by the templates that have its name.
"""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel.errors import InputError
from lmkernel.structured.rendering import with_argument_objects
from lmkernel.tokenizers.checks import check_messages
from lmkernel.tokenizers.contents import names_in_templates, text_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.tokenizers import Tokenizer
    from lmkernel.training.data.conversations import Conversation
    from lmkernel.training.data.rows import Row, UnusedColumns

__all__ = ["note_unused", "with_contents"]

_READ = frozenset(("role", "content", "weight"))
_CALLS = "tool_calls"


def with_contents(said: Conversation, tokenizer: Tokenizer, *, parted: bool) -> Conversation:
    """A conversation whose contents are all parts, or else all texts.

    The arguments of calls are objects, as they are where a model is asked.

    Args:
        said: as it was read.
        tokenizer: with or without a chat template.
        parted: whether the template writes parts alone.

    Raises:
        InputError: names the message that holds no text and nothing else that is learned, or whose
            call has arguments that are no object of JSON.
    """
    check_messages(said.messages)
    calls = _is_named(tokenizer, _CALLS)
    for number, message in enumerate(said.messages):
        if message.get("content") is None and not calls:
            raise InputError(
                f"message {number}: expected content, got {_CALLS} alone, which the chat template "
                "does not write; another one (--chat-template) may"
            )
    messages = [
        message if message.get("content") is None else _with_content(message, number, parted)
        for number, message in enumerate(said.messages)
    ]
    return replace(said, messages=with_argument_objects(messages) if calls else messages)


def _with_content(message: Mapping[str, Any], number: int, parted: bool) -> dict[str, Any]:
    content = message["content"]
    parts = text_parts(content) if isinstance(content, str) else content
    other = next((part["type"] for part in parts if part["type"] != "text"), None)
    if other is not None:
        raise InputError(
            f"message {number}: expected parts that are texts, which alone are learned, got one "
            f"of the type {other!r:.40}"
        )
    return {**message, "content": parts if parted else "".join(part["text"] for part in parts)}


def note_unused(row: Row, said: Conversation, tokenizer: Tokenizer, unused: UnusedColumns) -> None:
    """Take note of the columns of a row, and of what its messages hold, that are not learned."""
    tools = {said.tools_column} if said.tools_column and not _is_named(tokenizer, "tools") else ()
    unused.note(row, said.columns.difference(tools))
    keys = dict.fromkeys(key for message in said.messages for key in message if key not in _READ)
    for key in keys:
        if not any(_is_named(tokenizer, name) for name in names_in_templates(key)):
            unused.add(f"{key} of messages")


def _is_named(tokenizer: Tokenizer, key: str) -> bool:
    """Whether a chat template has the name of something in a message."""
    return any(_stands_in(template, key) for template in tokenizer.templates.values())


@functools.lru_cache(maxsize=256)  # each row of a data set asks for the same few
def _stands_in(template: str, key: str) -> bool:
    return re.search(rf"\b{re.escape(key)}\b", template) is not None
