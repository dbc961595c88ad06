"""Files over HTTP from a server that need not be honest: each ends soon, whole, or in a sentence.

Constraints: nothing is taken that is longer than was announced, or compressed; what breaks off is
asked for again, from where it broke, a few times. See `pacing` for what is too slow.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, TypeVar, final

from lmkernel.errors import PullError
from lmkernel.sources.pacing import SlowError, new_opener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

__all__ = ["Refused", "copy_body", "read_body"]

TIMEOUT = 20.0
"""Seconds that a server may take to be connected to, and between two pieces of an answer."""
PAUSES = (0.5, 2.0, 8.0)
"""Seconds before each further try."""
_T = TypeVar("_T")
_CHUNK = 1 << 20
_BUSY = frozenset({408, 429, 500, 502, 503, 504})


@final
class Refused(Exception):  # noqa: N818 - an answer, not a fault of ours
    """The server answers that it does not give this.

    Args:
        code: of HTTP.
        headers: of the answer.
    """

    def __init__(self, code: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"the server answered with HTTP {code}")
        self.code, self.headers = code, headers


@final
class _Lost(Exception):  # noqa: N818 - worth another try
    """An answer that did not come, or not to its end; the message says why."""


def read_body(url: str, headers: Mapping[str, str], most: int) -> tuple[bytes, str]:
    """A short answer, and the address of what comes after it, if the server names one.

    Args:
        url: what is asked for.
        headers: what is sent along.
        most: bytes that it may have.

    Raises:
        Refused: the server does not give it.
        PullError: it cannot be reached, is too slow, or says too much.
    """

    def read(_: int) -> tuple[bytes, str]:
        with _open(url, headers) as response:
            data = b"".join(_pieces(response, most))
            return data, response.headers.get("Link") or ""

    return _with_patience(read, lambda: 0)


def copy_body(
    url: str,
    headers: Mapping[str, str],
    file: BinaryIO,
    *,
    size: int,
    advance: Callable[[int], None],
) -> None:
    """Write an answer of a known size to an empty file.

    Args:
        url: what is asked for.
        headers: what is sent along.
        file: where it is written; what breaks off goes on at its end.
        size: bytes that it must have.
        advance: called with the bytes just written, fewer than none where it begins anew.

    Raises:
        Refused: the server does not give it.
        PullError: it cannot be reached, is too slow, or has another size.
        OSError: the disk refuses.
    """

    def copy(begin: int) -> None:
        asked = {**headers, "Range": f"bytes={begin}-"} if begin else headers
        with _open(url, asked) as response:
            if begin and response.status != http.client.PARTIAL_CONTENT:
                advance(-begin)
                file.seek(0)
                file.truncate()
                begin = 0
            for piece in _pieces(response, size - begin):
                file.write(piece)
                advance(len(piece))
        if file.tell() != size:
            raise _Lost(f"the answer ended after {file.tell()} of {size} bytes")

    if size:
        _with_patience(copy, file.tell)


def _with_patience(work: Callable[[int], _T], position: Callable[[], int]) -> _T:
    """What a function gives that may be called again where an answer was lost."""
    for pause in (*PAUSES, None):
        try:
            return work(position())
        except _Lost as lost:
            if pause is None:
                raise PullError(str(lost)) from lost
            time.sleep(pause)
    raise AssertionError("expected a result or an error")


def _pieces(response: Any, most: int) -> Iterator[bytes]:
    """The body, in pieces; no byte more than ``most``."""
    coding = response.headers.get("Content-Encoding", "identity")
    if coding != "identity":
        raise PullError(f"expected an answer as it is, got one in {coding!r}")
    left = most
    while True:
        try:
            piece = response.read1(min(_CHUNK, left + 1))
        except SlowError as error:
            raise PullError(str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            raise _Lost(_reason(error)) from error
        if len(piece) > left:
            raise PullError(f"expected an answer of {most} bytes, got a longer one")
        if not piece:
            return
        left -= len(piece)
        yield piece


def _open(url: str, headers: Mapping[str, str]) -> Any:
    try:
        request = urllib.request.Request(url)  # noqa: S310 - the opener knows HTTP alone
        for name, value in {**headers, "Accept-Encoding": "identity"}.items():
            request.add_header(name, value)
        return new_opener().open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in _BUSY:
            raise _Lost(f"the server answered with HTTP {error.code}") from error
        if error.code < http.client.BAD_REQUEST:
            raise PullError(
                "the server's redirects have no end, or lead to no address of HTTP"
            ) from error
        raise Refused(error.code, dict(error.headers)) from error
    except (ValueError, http.client.InvalidURL) as error:
        raise PullError(f"expected an address of HTTP, got {url!r:.200}: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", error)
        if isinstance(cause, SlowError):
            raise PullError(str(cause)) from error
        raise _Lost(_reason(error)) from error


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return f"the server sent nothing for {TIMEOUT:g} seconds"
    return f"no connection to the server: {' '.join(str(cause).split()) or type(cause).__name__}"
