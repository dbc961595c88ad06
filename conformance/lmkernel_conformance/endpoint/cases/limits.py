"""Many at once, and more than there is room for."""

from __future__ import annotations

import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.endpoint.asking import (
    CHAT,
    QUESTION,
    chat,
    chat_body,
    content_of,
    text_of_stream,
)
from lmkernel_conformance.endpoint.case import cases_of
from lmkernel_conformance.endpoint.wire import BrokenError, expect, require_error

if TYPE_CHECKING:
    from lmkernel_conformance.endpoint.wire import Endpoint, Reply

__all__ = ["CASES"]

_TOGETHER, _LEAVERS = 6, 24
_OVERLOADED = (429, 503)
_TRIES, _PAUSE = 20, 0.1


def a_prompt_beyond_the_context_is_refused(endpoint: Endpoint) -> None:
    """A prompt that is longer than the context is a 400 or 413, and the next is answered."""
    long = [{"role": "user", "content": "the cat sat on the mat. " * 40_000}]
    require_error(endpoint.post(CHAT, chat_body(endpoint, messages=long)), 400, 413, 422)
    content_of(chat(endpoint))


def a_body_of_100_megabytes_is_refused_unread(endpoint: Endpoint) -> None:
    """A body that is announced too long is a 413 before it is sent."""
    with contextlib.closing(endpoint.connect()) as connection:
        try:
            connection.putrequest("POST", endpoint.path(CHAT))
            for name, value in endpoint.headers().items():
                connection.putheader(name, value)
            connection.putheader("Content-Length", "100000000")
            connection.endheaders()
            status = connection.getresponse().status
        except OSError as error:
            raise BrokenError(f"expected status 413 before the body, got {error!r}") from error
    expect("status 413", status == 413, status)  # noqa: PLR2004 - HTTP's own
    content_of(chat(endpoint))


def more_choices_than_there_are_places_are_refused(endpoint: Endpoint) -> None:
    """A million answers at once are refused."""
    require_error(endpoint.post(CHAT, chat_body(endpoint, n=1_000_000)), 400, 422, 429)


def many_are_answered_as_if_alone(endpoint: Endpoint) -> None:
    """Requests at once, on connections of their own, streams among them, have their own answers."""
    bodies = [
        chat_body(endpoint, messages=[{"role": "user", "content": "the cat " * (n + 1)}])
        for n in range(_TOGETHER)
    ]
    alone = [content_of(endpoint.ask(CHAT, body)) for body in bodies]

    def ask(number: int) -> str:
        if number % 2:
            return text_of_stream(endpoint.events(CHAT, bodies[number]))
        return content_of(endpoint.ask(CHAT, bodies[number]))

    with ThreadPoolExecutor(_TOGETHER) as pool:
        together = list(pool.map(ask, range(_TOGETHER)))
    for number, (own, found) in enumerate(zip(alone, together, strict=True)):
        expect(f"request {number} to be answered {own!r:.80}", found == own, found)


def clients_that_go_away_free_their_places(endpoint: Endpoint) -> None:
    """Streams that were left, after their first line or before, keep nobody waiting."""
    endless = {"model": endpoint.model, "messages": QUESTION, "temperature": 1.0}
    with contextlib.closing(endpoint.stream(CHAT, endless)) as stream:
        next(stream)
    data = json.dumps({**endless, "stream": True}).encode()
    for _ in range(_LEAVERS):
        with contextlib.closing(endpoint.connect()) as connection:
            connection.request("POST", endpoint.path(CHAT), data, endpoint.headers())
    body = chat_body(endpoint)
    reply = endpoint.post(CHAT, body)
    for _ in range(_TRIES):
        if reply.status not in _OVERLOADED:
            break
        time.sleep(_PAUSE)  # the server has yet to see that they left
        reply = endpoint.post(CHAT, body)
    expect("an answer to who stayed", reply.status == 200, reply.status)  # noqa: PLR2004 - HTTP's own


def a_full_queue_says_so(endpoint: Endpoint) -> None:
    """Of more requests than there is room for some are a 429 or 503; none is another error."""
    body = chat_body(endpoint, max_tokens=128)

    def ask(_: int) -> Reply:
        return endpoint.post(CHAT, body)

    with ThreadPoolExecutor(endpoint.flood) as pool:
        replies = list(pool.map(ask, range(endpoint.flood)))
    strange = {reply.status for reply in replies} - {200, *_OVERLOADED}
    expect("200, 429 or 503", not strange, strange)
    refused = [reply for reply in replies if reply.status in _OVERLOADED]
    expect(f"some of {endpoint.flood} refused", refused, _count(replies))
    for reply in refused:
        require_error(reply, *_OVERLOADED)
        expect("Retry-After", "retry-after" in reply.headers, dict(reply.headers))
    content_of(chat(endpoint))


def _count(replies: list[Reply]) -> dict[int, Any]:
    return {one.status: sum(r.status == one.status for r in replies) for one in replies}


CASES = cases_of(
    "limits",
    (
        a_prompt_beyond_the_context_is_refused,
        a_body_of_100_megabytes_is_refused_unread,
        more_choices_than_there_are_places_are_refused,
        many_are_answered_as_if_alone,
        clients_that_go_away_free_their_places,
        a_full_queue_says_so,
    ),
)
