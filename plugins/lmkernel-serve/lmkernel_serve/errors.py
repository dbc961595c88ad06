"""Errors in OpenAI's form."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, final

from starlette.responses import JSONResponse

from lmkernel.errors import LmkernelError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ApiError", "as_api_error", "explain"]

_LOG = logging.getLogger("lmkernel.serve")
_INTERNAL = 500


@final
class ApiError(Exception):
    """What a client is told.

    Args:
        message: what was expected, and what came.
        status: the status of HTTP.
        param: the field that it is about.
        code: a word for programs.
        headers: of the answer.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.headers = dict(headers or {})

    def json(self) -> dict[str, Any]:
        """The body of the answer."""
        kind = "server_error" if self.status >= _INTERNAL else "invalid_request_error"
        return {
            "error": {
                "message": str(self),
                "type": kind,
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self) -> JSONResponse:
        """The answer of HTTP."""
        return JSONResponse(self.json(), self.status, self.headers)


def as_api_error(error: Exception) -> ApiError:
    """Ours as the client's mistake, in its own words; any other as the server's, in none."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, LmkernelError):
        code = "context_length_exceeded" if "the model's context" in str(error) else None
        return ApiError(str(error), code=code)
    return ApiError("the server failed to answer this request; its log says why", _INTERNAL)


def explain(error: Exception) -> ApiError:
    """What a client is told of an error; what is no client's mistake is logged."""
    if not isinstance(error, ApiError | LmkernelError):
        _LOG.error("a request failed", exc_info=error)
    return as_api_error(error)
