"""HTTP, opened so that a server can be neither too slow, nor endless, nor lead anywhere else.

Constraints: a server that sends less than `FLOOR` bytes a second for `WINDOW` seconds is left, be
it in the headers or in the body; one that sends more than `BESIDES` bytes that are no body is left
too; nothing but HTTP is spoken; the token goes to the host that was asked and to no other. Proxies
and certificates are those of Python's environment.
"""

from __future__ import annotations

import http.client
import io
import time
import urllib.request
from typing import IO, TYPE_CHECKING, Any, final
from urllib.parse import urlsplit

from lmkernel.errors import PullError

if TYPE_CHECKING:
    from http.client import HTTPMessage

__all__ = ["SlowError", "new_opener"]

FLOOR = 1000
"""Bytes a second that a server must send at least."""
WINDOW = 30.0
"""Seconds over which they are counted."""
BESIDES = 1 << 18
"""Bytes of lines that an answer may have at a time: of its status, its headers, and its trailers.

Each byte of the body gives one back, as the sizes of a body's chunks are lines too."""


def new_opener() -> urllib.request.OpenerDirector:
    """Opens HTTP and nothing else; a redirect to a file or to FTP finds no handler."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _Http(),
        _Https(),
        _Redirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _context() -> Any:
    """The certificates of certifi where it is installed: not every Python finds its system's."""
    import ssl

    try:
        import certifi
    except ImportError:
        return ssl.create_default_context()
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


@final
class SlowError(OSError):
    """The server sends too little."""


@final
class _Paced(io.RawIOBase):
    """Reads from a socket as long as enough comes."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw, self._count, self._since = raw, 0, time.monotonic()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        got = self._raw.readinto(buffer)
        self._count += got or 0
        seconds = time.monotonic() - self._since
        if seconds >= WINDOW:
            if self._count < FLOOR * seconds:
                raise SlowError(
                    f"the server is too slow: {self._count} bytes in {seconds:.0f} seconds; "
                    f"expected {FLOOR} a second"
                )
            self._count, self._since = 0, time.monotonic()
        return got

    def close(self) -> None:
        self._raw.close()
        super().close()


@final
class _Reader(io.BufferedReader):
    """Reads lines, which http.client does for all but the body, as long as they have an end."""

    _left = BESIDES

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self._left -= len(line)
        if self._left < 0:
            raise PullError(f"expected at most {BESIDES} bytes besides the answer's body, got more")
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        return self._body(super().read(size))

    def read1(self, size: int = -1, /) -> bytes:
        return self._body(super().read1(size))

    def _body(self, data: bytes) -> bytes:
        self._left = min(BESIDES, self._left + len(data))
        return data


class _Response(http.client.HTTPResponse):
    """An answer of which headers and body are paced alike."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fp = _Reader(_Paced(self.fp.detach()))


class _HttpConnection(http.client.HTTPConnection):
    response_class = _Response


class _HttpsConnection(http.client.HTTPSConnection):
    response_class = _Response


@final
class _Http(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(_HttpConnection, request)


@final
class _Https(urllib.request.AbstractHTTPHandler):
    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(_HttpsConnection, request, context=_context())

    https_request = urllib.request.AbstractHTTPHandler.do_request_


@final
class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows, and leaves the token behind where another host is led to."""

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> Any:
        fp.close()  # its body, which may have no end, would be read
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except (ValueError, http.client.InvalidURL) as error:
            raise PullError(f"the server redirects to no address: {error}") from error

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self,
        request: urllib.request.Request,
        fp: Any,
        code: int,
        message: str,
        headers: HTTPMessage,
        url: str,
    ) -> urllib.request.Request | None:
        before, after = urlsplit(request.full_url), urlsplit(url)
        if (before.scheme, after.scheme) == ("https", "http"):
            raise ValueError(f"http, where https was asked: {url:.100}")
        if not after.hostname or after.port == 0:  # a port that is no number is a ValueError
            raise ValueError(f"no host or no port: {url:.100}")
        led = super().redirect_request(request, fp, code, message, headers, url)
        if led is not None and (before.scheme, before.netloc) != (after.scheme, after.netloc):
            led.remove_header("Authorization")
        return led
