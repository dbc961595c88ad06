"""Pictures in messages to a server: as ``data:`` URLs (RFC 2397) before the first question."""

from __future__ import annotations

import base64
import mimetypes
from typing import TYPE_CHECKING, Any

from lmkernel.errors import InputError
from lmkernel.files import read_file
from lmkernel.paths import user_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["messages_with_pictures"]

_MOST = 20 * 2**20  # bytes of a file, which a server would not take if there were more


def messages_with_pictures(
    messages: Sequence[Mapping[str, Any]], images: Sequence[str]
) -> list[dict[str, Any]]:
    """The same messages, with pictures before the text of a user's first one.

    Raises:
        InputError: a file cannot be read, is too large, or is not called as a picture.
    """
    told = [dict(message) for message in messages]
    first = next((message for message in told if message["role"] == "user"), None)
    if first is not None and images:
        parts = [{"type": "image_url", "image_url": {"url": _url(name)}} for name in images]
        first["content"] = [*parts, {"type": "text", "text": first["content"]}]
    return told


def _url(name: str) -> str:
    kind = mimetypes.guess_type(name)[0] or ""
    if not kind.startswith("image/"):
        raise InputError(f"{name}: expected the name of a picture, such as cat.png or dog.jpg")
    data = read_file(user_path(name), _MOST, InputError)
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
