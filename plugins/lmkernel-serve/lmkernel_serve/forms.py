"""Forms with files (RFC 7578), taken apart in memory."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import FormParser, parse_options_header

from lmkernel_serve.errors import ApiError

if TYPE_CHECKING:
    from python_multipart.multipart import Field, File

__all__ = ["form_values"]

_KIND = "multipart/form-data"
_MOST_PARTS, _MOST_BYTES = 64, 1 << 16
"""Of a form, and of one of its fields that is no file."""


def form_values(kind: str, body: bytes) -> dict[str, Any]:
    """What a form holds, by the names of its fields: texts, and the bytes of files.

    A field whose name ends with ``[]`` may come several times, and is a list.

    Args:
        kind: the ``Content-Type``, which says where a field ends.
        body: all bytes.

    Raises:
        ApiError: no form, one that ends early, or a field that comes twice or is too long.
    """
    ends: list[bool] = []
    parts: defaultdict[str, list[str | bytes]] = defaultdict(list)

    def add(name: bytes | None, value: str | bytes) -> None:
        if sum(map(len, parts.values())) == _MOST_PARTS:
            raise ApiError(f"expected a form of at most {_MOST_PARTS} fields")
        parts[_text(name, "a name")].append(value)

    def on_field(field: Field) -> None:
        name, value = field.field_name, field.value or b""
        if len(value) > _MOST_BYTES:
            told = _text(name, "a name")[:80]
            raise ApiError(f"{told}: expected at most {_MOST_BYTES} bytes", param=told)
        add(name, _text(value, "a field"))

    def on_file(file: File) -> None:
        file.file_object.seek(0)
        add(file.field_name, file.file_object.read())

    media, options = parse_options_header(kind)
    if media != _KIND.encode():
        raise ApiError(f"expected a body of {_KIND}, got {kind!r:.80}")
    try:
        parser = FormParser(
            _KIND,
            on_field,
            on_file,
            on_end=lambda: ends.append(True),
            boundary=options.get(b"boundary"),
            config={"MAX_MEMORY_FILE_SIZE": len(body)},  # nothing is written to a disk
        )
        parser.write(body)
    except FormParserError as error:
        raise ApiError(f"expected a body of {_KIND}: {error}"[:300]) from None
    if not ends:
        raise ApiError(f"expected a body of {_KIND} that ends with its boundary")
    return {name: _one_or_list(name, values) for name, values in parts.items()}


def _one_or_list(name: str, values: list[str | bytes]) -> object:
    if name.endswith("[]"):
        return values
    if len(values) > 1:
        raise ApiError(f"{name:.80}: expected it once, got it again", param=name[:80])
    return values[0]


def _text(value: bytes | None, what: str) -> str:
    try:
        return (value or b"").decode()
    except UnicodeDecodeError as error:
        raise ApiError(f"expected {what} of a form in UTF-8: {error}"[:300]) from None
