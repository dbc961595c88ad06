"""A model behind OpenAI's interface, on any server, to talk with."""

from __future__ import annotations

import dataclasses
import http.client
import json
import time
from typing import TYPE_CHECKING, Any, final
from urllib.parse import urlsplit

from lmkernel.cli.chat.picture_urls import messages_with_pictures
from lmkernel.errors import InputError
from lmkernel.generation import GenerationOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["ServedModel", "ServerAnswer"]

_SECONDS, _LINE, _BODY, _SHOWN = 600, 1 << 20, 1 << 24, 300
_NAMES = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed")
_SENT = {*_NAMES, "max_new_tokens", "stop"}
_ALWAYS = ("temperature", "seed")


@final
class ServedModel:
    """A model of a server.

    Args:
        url: of the server, or of its ``/v1``.
        key: that it wants to be shown.
        name: of the model; None for the first that it lists.

    Raises:
        InputError: no such address, no server there, or one that has no model.
    """

    def __init__(self, url: str, key: str | None = None, name: str | None = None) -> None:
        try:
            parts = urlsplit(url)
            host, self._port = parts.hostname, parts.port
        except ValueError as error:
            raise InputError(f"--url: {url!r:.200}: {error}") from error
        if parts.scheme not in {"http", "https"} or not host or parts.query or parts.username:
            raise InputError(f"--url: expected http://HOST:PORT/v1, got {url!r:.200}")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise InputError("--key: expected a key of ASCII characters")
        self._url, self._host = url, host
        self._open = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._path = parts.path.rstrip("/") or "/v1"
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.name = name or self._first()

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        options: GenerationOptions,
        *,
        images: Sequence[str] = (),
    ) -> ServerAnswer:
        """The next message of a conversation.

        Raises:
            InputError: an option that no server knows, or a picture that cannot be read.
        """
        told = messages_with_pictures(messages, images)
        return ServerAnswer(self._events({**_fields(options), **self._body(told)}))

    def _body(self, messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        usage = {"include_usage": True}
        told = [dict(message) for message in messages]
        return {"model": self.name, "messages": told, "stream": True, "stream_options": usage}

    def _first(self) -> str:
        with self._ask("GET", "/models") as answer:
            document = self._json(answer.read(_BODY))
        try:
            return str(document["data"][0]["id"])
        except (KeyError, IndexError, TypeError):
            raise InputError(
                f"{self._url}: expected a list of models, got {document!r:.200}"
            ) from None

    def _events(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The objects of a stream until its end; whoever stops reading closes the connection."""
        with self._ask("POST", "/chat/completions", body) as answer:
            if "event-stream" not in answer.headers.get("Content-Type", ""):
                raise InputError(f"{self._url}: expected a stream, got {answer.read(_SHOWN)!r}")
            while line := self._line(answer):
                if not line.startswith(b"data:"):
                    continue
                data = line.removeprefix(b"data:").strip()
                if data == b"[DONE]":
                    return
                event = self._json(data)
                if "error" in event:
                    raise InputError(f"{self._url}: {_reason(event)}")
                yield event

    def _line(self, answer: http.client.HTTPResponse) -> bytes:
        try:
            line = answer.readline(_LINE)
        except (OSError, http.client.HTTPException) as error:
            raise InputError(f"{self._url}: the answer broke off: {error!r:.200}") from error
        if len(line) == _LINE:
            raise InputError(f"{self._url}: expected lines of a stream, got one without an end")
        return line

    def _ask(self, method: str, path: str, body: Any = None) -> http.client.HTTPResponse:
        """The answer of HTTP, if it is a good one; its connection closes with it."""
        connection = self._open(self._host, self._port, timeout=_SECONDS)
        data = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, "Content-Type": "application/json", "Connection": "close"}
        try:
            connection.request(method, self._path + path, data, headers)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise InputError(f"{self._url}: no server answers: {error}") from error
        if answer.status == http.client.OK:
            return answer
        with answer:
            said = answer.read(_BODY)
        try:
            reason = _reason(json.loads(said))
        except (ValueError, RecursionError):
            reason = said[:_SHOWN].decode("utf-8", "replace")
        raise InputError(f"{self._url}: {answer.status} {answer.reason}: {reason}")

    def _json(self, data: bytes) -> dict[str, Any]:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self._url}: expected JSON, got {data[:_SHOWN]!r}") from error
        if not isinstance(document, dict):
            raise InputError(f"{self._url}: expected a JSON object, got {data[:_SHOWN]!r}")
        return document


@final
class ServerAnswer:
    """An answer that comes from a server, read as it is asked for.

    Args:
        events: the objects of its stream.
    """

    def __init__(self, events: Iterable[dict[str, Any]]) -> None:
        self._events = iter(events)
        self._count = 0
        self.so_far = ""
        self.finish_reason = ""
        self.finished = False
        self.seconds = 0.0

    def __iter__(self) -> Iterator[str]:
        begun = time.perf_counter()
        for event in self._events:
            try:
                piece = self._take(event)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise InputError(f"expected a chunk of a chat, got {event!r:.200}") from error
            if piece:
                self.so_far += piece
                yield piece
        self.seconds = time.perf_counter() - begun
        self.finish_reason = self.finish_reason or "stop"
        self.finished = True

    def _take(self, event: dict[str, Any]) -> str:
        """What an event adds to the text."""
        text, usage = "", event.get("usage")
        for choice in event.get("choices") or ():
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            text += (choice.get("delta") or {}).get("content") or ""
        self._count = int(usage["completion_tokens"]) if usage else self._count + bool(text)
        return text

    @property
    def text(self) -> str:
        """Its text; what is missing is read first."""
        for _ in self:
            pass
        return self.so_far

    @property
    def tokens(self) -> range:
        """As many as the server counted, or as pieces came."""
        return range(self._count)


def _fields(options: GenerationOptions) -> dict[str, Any]:
    """The options in words of the interface."""
    usual = GenerationOptions()
    changed = [
        field.name
        for field in dataclasses.fields(options)
        if getattr(options, field.name) != getattr(usual, field.name)
    ]
    if unknown := sorted(set(changed) - _SENT):
        raise InputError(f"{unknown[0]}: a server is not asked for it; leave it out with --url")
    named = {name: getattr(options, name) for name in _NAMES if name in {*changed, *_ALWAYS}}
    stop = {"stop": list(options.stop_strings)} if options.stop_strings else {}
    return {**named, **stop, "max_tokens": options.max_new_tokens}


def _reason(document: Any) -> str:
    error = document.get("error") if isinstance(document, dict) else document
    told = error.get("message") if isinstance(error, dict) else error
    return str(told if told is not None else document)[:_SHOWN]
