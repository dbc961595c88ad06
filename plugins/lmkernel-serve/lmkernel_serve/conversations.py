"""Messages of requests as chat templates know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmkernel_serve.documents import ChatDocument

__all__ = ["conversation_of"]


def conversation_of(document: ChatDocument | Any) -> list[dict[str, Any]]:
    """The messages as chat templates know them."""
    messages = []
    for message in document.messages:
        plain = message.model_dump(exclude_none=True)
        if plain["role"] == "developer":
            plain["role"] = "system"
        if isinstance(plain.get("content"), list):
            plain["content"] = "".join(part["text"] for part in plain["content"])
        plain.setdefault("content", "")
        messages.append(plain)
    return messages
