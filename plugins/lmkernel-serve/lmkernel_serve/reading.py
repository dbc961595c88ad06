"""The body of a request: bounded, JSON, and of known fields."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from lmkernel_serve.errors import ApiError

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["read_document"]

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
    body = await _read_body(request, most)
    try:
        document = json.loads(body, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ApiError(f"expected a body of JSON: {error}"[:300]) from None
    if not isinstance(document, dict):
        raise ApiError(f"expected a JSON object, got {type(document).__name__}")
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise _explain(error) from None


async def _read_body(request: Request, most: int) -> bytes:
    announced = request.headers.get("content-length", "")
    too_long = ApiError(f"expected a body of at most {most} bytes", 413, code="body_too_long")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > most:
        raise too_long
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise too_long
    return bytes(body)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _explain(error: ValidationError) -> ApiError:
    """The fault that is named first; of a union's, that which came furthest."""
    faults: list[Any] = [*error.errors(include_url=False, include_context=False)]
    unknown = [fault for fault in faults if fault["type"] == "extra_forbidden"]
    fault = (unknown or sorted(faults, key=lambda one: -len(one["loc"])))[0]
    # where a field is of several types, pydantic names that which it tried
    param = ".".join(str(part) for part in fault["loc"] if "[" not in str(part))
    if unknown:
        return ApiError(
            f"{param}: this server does not know this field", param=param, code="unknown_parameter"
        )
    got = f", got {fault['input']!r:.80}" if fault["type"] != "missing" else ""
    return ApiError(f"{param}: {fault['msg']}{got}", param=param, code="invalid_value")
