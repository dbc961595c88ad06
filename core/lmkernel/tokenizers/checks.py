"""What a tokenizer is given, checked before the library sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["check_messages", "check_text", "token_text"]


def check_text(text: object) -> None:
    """Refuse what is no text, and text that UTF-8 can't express."""
    if not isinstance(text, str):
        raise InputError(f"expected a text, got {text!r:.80}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"expected text that UTF-8 can express, got the lone surrogate "
            f"U+{ord(text[error.start]):04X} at character {error.start}"
        ) from error


def check_messages(messages: Sequence[Mapping[str, Any]]) -> None:
    """Refuse messages without a role, or whose content is no text that UTF-8 can express."""
    for number, message in enumerate(messages):
        if not isinstance(message.get("role"), str):
            raise InputError(f"message {number}: expected a role such as 'user', got {message!r}")
        if isinstance(content := message.get("content"), str):
            check_text(content)


def token_text(token: Any) -> str | None:
    """A special token's text, from a string or from an object of ``tokenizer_config.json``."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None
