"""In which form a chat template writes what a message says: as a text, or as parts.

Some templates write a content that is a text, some one that is parts, such as those of models that
are shown pictures, and some write both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["PARTS", "TEXT", "as_texts", "text_parts", "written_forms"]

TEXT, PARTS = "text", "parts"
_WORD = "Well?"


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


def _joined(content: Any) -> Any:
    if not isinstance(content, list | tuple) or any(part["type"] != TEXT for part in content):
        return content
    return "".join(part["text"] for part in content)
