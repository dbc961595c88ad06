"""The body of a request: bounded, JSON or a form, and of known fields."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from lmkernel_serve.errors import ApiError
from lmkernel_serve.forms import form_values

if TYPE_CHECKING:
    from starlette.types import Message

__all__ = ["read_document", "read_form"]

_D = TypeVar("_D", bound=BaseModel)


async def read_document(request: Request, kind: type[_D], most: int) -> _D:
    """The document that a request holds.

    Args:
        request: whose body was not read yet.
        kind: what it must be.
        most: the most bytes of the body.

    Raises:
        ApiError: 413 for a longer body, 400 for one that is no such document.
    """
    body = await _bounded(request, most).body()
    try:
        document = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ApiError(f"expected a body of JSON: {error}"[:300]) from None
    if not isinstance(document, dict):
        raise ApiError(f"expected a JSON object, got {type(document).__name__}")
    return _validated(document, kind)


async def read_form(request: Request, kind: type[_D], most: int) -> _D:
    """The document that the fields of a form make, with the bytes of its file.

    Args:
        request: whose body was not read yet.
        kind: what it must be.
        most: the most bytes of the body.

    Raises:
        ApiError: 413 for a longer body, 400 for one that is no such document.
    """
    body = await _bounded(request, most).body()
    given = request.headers.get("content-type", "")
    return _validated(await asyncio.to_thread(form_values, given, body), kind)


def _bounded(request: Request, most: int) -> Request:
    """The same request, whose body cannot be read beyond so many bytes.

    Raises:
        ApiError: 413, at once where a longer one is announced, else while it is read.
    """
    too_long = ApiError(f"expected a body of at most {most} bytes", 413, code="body_too_long")
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > most:
        raise too_long
    read = 0

    async def receive() -> Message:
        nonlocal read
        message = await request.receive()
        read += len(message.get("body", b""))
        if read > most:
            raise too_long
        return message

    return Request(request.scope, receive)


def _validated(document: dict[str, Any], kind: type[_D]) -> _D:
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise _explain(error) from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _explain(error: ValidationError) -> ApiError:
    """The fault that is named first; of a union's, that which came furthest."""
    faults: list[Any] = [*error.errors(include_url=False, include_context=False)]
    unknown = [fault for fault in faults if fault["type"] == "extra_forbidden"]
    fault = (unknown or sorted(faults, key=lambda one: -len(one["loc"])))[0]
    param = ".".join(str(part) for part in fault["loc"] if _is_name(str(part)))
    if unknown:
        return ApiError(
            f"{param}: this server does not know this field", param=param, code="unknown_parameter"
        )
    got = f", got {fault['input']!r:.80}" if fault["type"] != "missing" else ""
    return ApiError(f"{param}: {fault['msg']}{got}", param=param, code="invalid_value")


def _is_name(part: str) -> bool:
    """Where a field is of several types, pydantic names that which it tried, such as list[int]."""
    return "[" not in part or part.endswith("[]")
