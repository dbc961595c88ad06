"""What a message holds, in the form and under the names that a chat template knows.

Some templates write a content that is a text, some one that is parts, such as those of models that
are shown pictures, and some write both. What was thought before an answer has three names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "PARTS",
    "TEXT",
    "as_texts",
    "names_in_templates",
    "text_parts",
    "with_reasoning",
    "written_forms",
]

TEXT, PARTS = "text", "parts"
_WORD = "Well?"
_REASONING = ("reasoning_content", "thinking", "reasoning")
"""Names of what was thought; where a message has several, the first goes before."""
_READ_REASONING = ("reasoning_content", "thinking")
"""Those that templates read."""


def written_forms(render: Callable[[list[dict[str, Any]]], str]) -> frozenset[str]:
    """Of ``"text"`` and ``"parts"`` those that a template writes, found by trying.

    Args:
        render: the text of messages.
    """
    tried = {TEXT: _WORD, PARTS: text_parts(_WORD)}
    return frozenset(form for form, content in tried.items() if _writes(render, content))


def _writes(render: Callable[[list[dict[str, Any]]], str], content: object) -> bool:
    """Whether the template writes the word, and nothing of the part around it.

    Raises:
        TemplateError: the rendering takes too long, and others would too.
    """
    from lmkernel.tokenizers.template.budget import SpentError

    try:
        text = render([{"role": "user", "content": content}])
    except SpentError:
        raise
    except TemplateError:
        return False
    return _WORD in text and not any(f"{mark}type{mark}" in text for mark in "'\"")


def text_parts(text: str) -> list[dict[str, str]]:
    """A text as the one part of a content."""
    return [{"type": "text", "text": text}]


def as_texts(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages in which each content that is parts, and texts alone, is one text."""
    return [{**message, "content": _joined(message.get("content"))} for message in messages]


def with_reasoning(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message with what was thought under each name that templates read, as in transformers.

    Args:
        message: without a value that is None.
    """
    found = [message[name] for name in _REASONING if name in message]
    if not found:
        return dict(message)
    first, other = _READ_REASONING
    return {other: found[0], **message, first: found[0]}


def names_in_templates(key: str) -> tuple[str, ...]:
    """The names under which a template finds what a message holds under one."""
    return (key, *_READ_REASONING) if key in _REASONING else (key,)


def _joined(content: Any) -> Any:
    if not isinstance(content, list | tuple) or any(part["type"] != TEXT for part in content):
        return content
    return "".join(part["text"] for part in content)
