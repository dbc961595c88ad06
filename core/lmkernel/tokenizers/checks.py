"""What a tokenizer is given, checked before the library sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmkernel.errors import InputError, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SPECIAL_ROLES", "check_messages", "check_text", "token_text"]

SPECIAL_ROLES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
"""In the order in which transformers adds those that a vocabulary lacks."""


def check_text(text: object, name: str = "") -> None:
    """Refuse what is no text, and text that UTF-8 can't express.

    Args:
        text: what came.
        name: of the argument, for the message.
    """
    argument = f"{name}: " * bool(name)
    if not isinstance(text, str):
        raise InputError(f"{argument}expected a text, got {shown(text)}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"{argument}expected text that UTF-8 can express, got the lone surrogate "
            f"U+{ord(text[error.start]):04X} at character {error.start}"
        ) from error


def check_messages(messages: Sequence[Mapping[str, Any]]) -> None:
    """Refuse messages without a role, or with no content that is a text or parts.

    One that calls tools needs no content. Texts are such that UTF-8 can express them.
    """
    for number, message in enumerate(messages):
        if not isinstance(message.get("role"), str):
            raise InputError(
                f"message {number}: expected a role such as 'user', got {shown(message)}"
            )
        content = message.get("content")
        if content is None and message.get("tool_calls"):
            continue
        if content is None:
            got = ", ".join(f"{key!s:.40}" for key in message)
            raise InputError(f"message {number}: expected content, got a message of {got}")
        for text in _texts(content, number):
            check_text(text)


def _texts(content: object, number: int) -> list[str]:
    """The texts of a message's content."""
    if isinstance(content, str):
        return [content]
    parts = content if isinstance(content, list | tuple) else ()
    if not parts or not all(map(_is_part, parts)):
        raise InputError(
            f"message {number}: expected content that is a text, or parts such as "
            f'{{"type": "text", "text": …}}, got {shown(content)}'
        )
    return [part["text"] for part in parts if part["type"] == "text"]


def _is_part(part: object) -> bool:
    """Whether it is a part of a message: one that says its type, and has a text if that is text."""
    if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
        return False
    return part["type"] != "text" or isinstance(part.get("text"), str)


def token_text(token: Any) -> str | None:
    """A special token's text, from a string or from an object of ``tokenizer_config.json``."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None
