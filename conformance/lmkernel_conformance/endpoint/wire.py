"""A server as its clients see it: requests, answers, streams."""

from __future__ import annotations

import contextlib
import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final
from urllib.parse import urlsplit

from lmkernel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

__all__ = ["BrokenError", "Endpoint", "RefusedError", "Reply", "expect", "require_error"]

_REFUSALS = (400, 404, 405, 422, 501)
_ABSENT = (404, 405, 501)
_BODY, _SHOWN = 1 << 26, 200


@final
class BrokenError(Exception):
    """The server does not do what a case asks for."""


@final
class RefusedError(Exception):
    """The server says that it does not do what a case asks for."""


def expect(what: str, ok: object, got: object) -> None:
    """Raise `BrokenError` unless something holds."""
    if not ok:
        raise BrokenError(f"expected {what}, got {got!r:.300}")


@final
@dataclass(frozen=True)
class Reply:
    """An answer of HTTP.

    Args:
        status: its status.
        headers: by names in lower case.
        data: its body.
    """

    status: int
    headers: Mapping[str, str]
    data: bytes

    def json(self) -> dict[str, Any]:
        """Its body, which is an object."""
        try:
            found: Any = json.loads(self.data)
        except ValueError:
            found = None
        if isinstance(found, dict):
            return found
        raise BrokenError(f"expected a JSON object, got {self.data[:_SHOWN]!r}")


def require_error(reply: Reply, *statuses: int) -> dict[str, Any]:
    """An error in OpenAI's form and of one of some statuses; what it says."""
    expect(f"status {' or '.join(map(str, statuses))}", reply.status in statuses, reply.status)
    found: Any = reply.json().get("error")
    expect('{"error": {…}}', isinstance(found, dict), reply.data[:_SHOWN])
    expect("a message", isinstance(found.get("message"), str), found)
    expect("type, param and code", {"type", "param", "code"} <= set(found), found)
    error: dict[str, Any] = found
    return error


@final
@dataclass(frozen=True)
class Endpoint:
    """A server that is certified.

    Args:
        url: that of its ``/v1``.
        model: that is asked for text.
        embedder: that is asked for vectors.
        key: that the server wants to be shown.
        limit: seconds for one request.
        flood: requests at once that are more than it takes.
        hearer: that is asked what is spoken; empty if there is none.
    """

    url: str
    model: str = ""
    embedder: str = ""
    key: str = ""
    limit: float = 60.0
    flood: int = 256
    hearer: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InputError(f"--endpoint: expected http://HOST:PORT/v1, got {self.url!r:.200}")

    def connect(self) -> http.client.HTTPConnection:
        """A connection of its own."""
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=self.limit)

    def path(self, path: str) -> str:
        """A path of the interface; one that begins with ``//`` is beside ``/v1``."""
        base = urlsplit(self.url).path.rstrip("/")
        return base.removesuffix("/v1") + path[1:] if path.startswith("//") else base + path

    def headers(self) -> dict[str, str]:
        """What every request holds."""
        key = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return {"Content-Type": "application/json", **key}

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """One request and its answer; a body of bytes is sent as it is."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        with contextlib.closing(self.connect()) as connection:
            try:
                connection.request(method, self.path(path), data, {**self.headers(), **headers})
                answer = connection.getresponse()
                found = {name.lower(): value for name, value in answer.getheaders()}
                return Reply(answer.status, found, answer.read(_BODY))
            except (OSError, http.client.HTTPException) as error:
                raise BrokenError(f"{method} {path}: no answer: {error!r:.200}") from error

    def post(self, path: str, body: Any) -> Reply:
        """`request` by POST."""
        return self.request("POST", path, body)

    def ask(self, path: str, body: Any) -> dict[str, Any]:
        """The good answer to a body.

        Raises:
            RefusedError: the server says that it does no such thing.
            BrokenError: it fails.
        """
        reply = self.post(path, body)
        self.require_good(path, reply)
        return reply.json()

    def require_good(self, path: str, reply: Reply) -> None:
        """Raise unless an answer is good."""
        if reply.status in _REFUSALS:
            if reply.status not in _ABSENT:
                require_error(reply, reply.status)
            raise RefusedError(
                f"{path}: {reply.status}: {reply.data[:_SHOWN].decode(errors='replace')}"
            )
        expect(f"{path} to answer 200", reply.status == http.client.OK, (reply.status, reply.data))

    def stream(self, path: str, body: Mapping[str, Any]) -> Generator[bytes]:
        """The lines of a stream; whoever stops reading closes the connection."""
        with contextlib.closing(self.connect()) as connection:
            data = json.dumps({**body, "stream": True}).encode()
            try:
                connection.request("POST", self.path(path), data, self.headers())
                answer = connection.getresponse()
                kind = answer.getheader("Content-Type", "") or ""
                if answer.status != http.client.OK:
                    self.require_good(path, Reply(answer.status, {}, answer.read(_BODY)))
                expect("text/event-stream", kind.startswith("text/event-stream"), kind)
                while line := answer.readline():
                    yield line.rstrip(b"\r\n")
            except (OSError, http.client.HTTPException) as error:
                raise BrokenError(f"{path}: the stream broke off: {error!r:.200}") from error

    def events(self, path: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The objects of a stream that ends with ``[DONE]``, which is no object."""
        data = [x[5:].strip() for x in self.stream(path, body) if x.startswith(b"data:")]
        expect("data: [DONE] at the end", data[-1:] == [b"[DONE]"], data[-1:])
        return [_object(one) for one in data[:-1]]

    def typed_events(self, path: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The objects of a stream whose events say their types."""
        lines = list(self.stream(path, body))
        found = [_object(line[5:].strip()) for line in lines if line.startswith(b"data:")]
        kinds = [x[6:].strip().decode() for x in lines if x.startswith(b"event:")]
        types = [one.get("type") for one in found]
        expect("an event: line of each type", kinds == types, kinds)
        return found


def _object(data: bytes) -> dict[str, Any]:
    return Reply(200, {}, data).json()
