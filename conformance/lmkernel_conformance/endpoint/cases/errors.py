"""What is refused, and in which form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel_conformance.endpoint.asking import CHAT, chat, chat_body, content_of, text_of_stream
from lmkernel_conformance.endpoint.case import cases_of
from lmkernel_conformance.endpoint.wire import RefusedError, expect, require_error

if TYPE_CHECKING:
    from lmkernel_conformance.endpoint.wire import Endpoint

__all__ = ["CASES"]

_STRANGE = "lmkernel_unknown"


def an_unknown_model_is_not_found(endpoint: Endpoint) -> None:
    """A model that is not there is a 404 in the interface's form."""
    body = chat_body(endpoint, model="no-such-model")
    require_error(endpoint.post(CHAT, body), 404)


def an_unknown_path_is_not_found(endpoint: Endpoint) -> None:
    """A path that is not there is a 404."""
    reply = endpoint.post("/no/such/path", {})
    expect("status 404", reply.status == 404, reply.status)  # noqa: PLR2004 - HTTP's own


def a_body_that_is_no_json_is_refused(endpoint: Endpoint) -> None:
    """A body that is no JSON, too deep, or no object is a 400."""
    for data in (b"{", b"", b"[]", b"[" * 50_000, b"\xff\xfe"):
        require_error(endpoint.post(CHAT, data), 400, 422)


def a_field_is_missing(endpoint: Endpoint) -> None:
    """Messages that are missing or empty are a 400."""
    require_error(endpoint.post(CHAT, {"model": endpoint.model}), 400, 422)
    require_error(endpoint.post(CHAT, chat_body(endpoint, messages=[])), 400, 422)


def a_value_makes_no_sense(endpoint: Endpoint) -> None:
    """A value of a wrong type or outside its range is a 400."""
    bad: list[dict[str, Any]] = [
        {"temperature": "warm"},
        {"temperature": -1},
        {"top_p": 7},
        {"max_tokens": -3},
        {"n": 0},
        {"stop": 7},
        {"messages": "hello"},
        {"messages": [{"role": "nobody", "content": "hello"}]},
    ]
    for changes in bad:
        reply = endpoint.post(CHAT, chat_body(endpoint, **changes))
        expect(f"a refusal of {changes}", reply.status in {400, 422}, reply.status)
        require_error(reply, 400, 422)


def an_unknown_field_is_refused_by_name(endpoint: Endpoint) -> None:
    """What a server does not know is refused by its name, never dropped in silence."""
    error = require_error(endpoint.post(CHAT, chat_body(endpoint, **{_STRANGE: 1})), 400, 422)
    expect(f"{_STRANGE} named", _STRANGE in error["message"] + str(error["param"]), error)


def half_a_character_ends_nothing(endpoint: Endpoint) -> None:
    """A lone surrogate in a message is a 400, or is answered; it is no fault of the server's."""
    body = chat_body(endpoint, messages=[{"role": "user", "content": "\ud800"}])
    reply = endpoint.post(CHAT, body)
    expect("status 200, 400 or 422", reply.status in {200, 400, 422}, reply.status)
    content_of(chat(endpoint))


def a_wrong_key_is_refused(endpoint: Endpoint) -> None:
    """Where there is a key, another is a 401."""
    if not endpoint.key:
        raise RefusedError("the server was certified without a key")
    wrong = {"Authorization": f"Bearer {endpoint.key}x"}
    require_error(endpoint.request("GET", "/models", **wrong), 401)


def one_bad_request_leaves_the_others(endpoint: Endpoint) -> None:
    """Requests that are refused while another is answered do not end it."""
    body = chat_body(endpoint, max_tokens=64)
    alone = text_of_stream(endpoint.events(CHAT, body))
    stream = endpoint.stream(CHAT, body)
    lines = [next(stream)]
    for changes in (
        {"messages": [{"role": "user", "content": "\ud800"}]},
        {"model": "no-such-model"},
        {"max_tokens": -3},
        {"messages": [{"role": "user", "content": "the cat " * 50_000}]},
    ):
        endpoint.post(CHAT, chat_body(endpoint, **changes))
    lines += stream
    expect("[DONE]", any(line.endswith(b"[DONE]") for line in lines), lines[-2:])
    again = text_of_stream(endpoint.events(CHAT, body))
    expect("the answer that it has alone", again == alone, again)


CASES = cases_of(
    "errors",
    (
        an_unknown_model_is_not_found,
        an_unknown_path_is_not_found,
        a_body_that_is_no_json_is_refused,
        a_field_is_missing,
        a_value_makes_no_sense,
        an_unknown_field_is_refused_by_name,
        half_a_character_ends_nothing,
        a_wrong_key_is_refused,
        one_bad_request_leaves_the_others,
    ),
    optional=("a_wrong_key_is_refused",),
)
