"""Messages of requests as chat templates know them."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any

from lmkernel.inspection.inputs import refuse_long
from lmkernel.prompts import Prompt, chat_prompt
from lmkernel.structured import render_with_tools
from lmkernel_serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.structured import Tool
    from lmkernel_serve.documents import ChatDocument
    from lmkernel_serve.served import Served

__all__ = ["prompt_of_chat"]

_DATA = re.compile(r"data:image/[\w.+-]+;base64,")
_FIELD = "image_url.url"


def prompt_of_chat(
    served: Served, document: ChatDocument | Any, tools: Sequence[Tool] = ()
) -> Prompt:
    """What comes before the next message of a conversation, with its pictures.

    Raises:
        ApiError: tools for a model that is shown pictures, or a picture that is no ``data:`` URL.
        LmkernelError: the chat cannot be rendered, or a picture not be read.
    """
    messages, model = _conversation(document), served.model
    sees = model.config.sight is not None
    if sees and tools:
        raise ApiError("tools: expected none for a model that is shown pictures", param="tools")
    if sees or _shows_pictures(messages):
        return chat_prompt(model, messages)
    text = render_with_tools(model.tokenizer, messages, tools)
    refuse_long(model, text)
    return Prompt(model.tokenizer.encode(text, special_tokens=False))


def _conversation(document: ChatDocument | Any) -> list[dict[str, Any]]:
    """The messages as chat templates know them; those with pictures have parts.

    Raises:
        ApiError: a picture that is no ``data:`` URL (RFC 2397).
    """
    messages = []
    for message in document.messages:
        plain = message.model_dump(exclude_none=True)
        if plain["role"] == "developer":
            plain["role"] = "system"
        if isinstance(plain.get("content"), list):
            plain["content"] = _content(plain["content"])
        plain.setdefault("content", "")
        messages.append(plain)
    return messages


def _shows_pictures(messages: list[dict[str, Any]]) -> bool:
    """Whether there are pictures among them."""
    return any(isinstance(message["content"], list) for message in messages)


def _content(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """A text, or parts where some are pictures."""
    if all(part["type"] == "text" for part in parts):
        return "".join(part["text"] for part in parts)
    return [
        part if part["type"] == "text" else {"type": "image", "image": _bytes(part["image_url"])}
        for part in parts
    ]


def _bytes(picture: dict[str, Any]) -> bytes:
    """The file in a URL; nothing is fetched from anywhere."""
    url = picture["url"]
    head = _DATA.match(url)
    if head is None:
        expected = "data:image/…;base64,…, as this server fetches nothing"
        raise ApiError(f"{_FIELD}: expected {expected}, got {url[:40]!r}", param=_FIELD)
    try:
        return base64.b64decode(url[head.end() :], validate=True)
    except binascii.Error as error:
        raise ApiError(f"{_FIELD}: expected base64: {error}", param=_FIELD) from error
