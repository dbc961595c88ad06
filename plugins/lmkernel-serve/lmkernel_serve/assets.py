"""The page for people: its files, as they lie in the package, and their headers."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from importlib.resources.abc import Traversable

    from starlette.requests import Request

__all__ = ["HEADERS", "page_files", "page_routes"]

_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "html": "text/html; charset=utf-8",
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
    }
)
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Nothing from elsewhere, no script in the document, and no text that becomes HTML."""
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-cache",
    }
)
_NOT_MODIFIED = 304


def page_files() -> dict[str, tuple[bytes, str]]:
    """The content and the type of each file of the page, by its path in the package."""
    root = files("lmkernel_serve")
    return dict(_walk(root / "page", "page"))


def page_routes() -> list[Route]:
    """A route for each file, and ``/`` for the page itself; no path is taken from a request."""
    found = page_files()
    routes = [Route(f"/{path}", _handler(*one)) for path, one in found.items()]
    return [Route("/", _handler(*found["page/index.html"])), *routes]


def _walk(folder: Traversable, path: str) -> Iterator[tuple[str, tuple[bytes, str]]]:
    for one in sorted(folder.iterdir(), key=lambda one: one.name):
        here, ending = f"{path}/{one.name}", one.name.rpartition(".")[2]
        if one.is_dir():
            yield from _walk(one, here)
        elif ending in _TYPES:
            yield here, (one.read_bytes(), _TYPES[ending])


def _handler(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**HEADERS, "ETag": tag}

    async def handle(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=_NOT_MODIFIED, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return handle
