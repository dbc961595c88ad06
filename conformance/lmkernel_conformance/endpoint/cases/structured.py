"""Answers of a form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.endpoint.asking import (
    CHAT,
    chat,
    chat_body,
    content_of,
    text_of_stream,
)
from lmkernel_conformance.endpoint.case import cases_of
from lmkernel_conformance.endpoint.cases.tools import SCHEMA, require_arguments
from lmkernel_conformance.endpoint.wire import expect, require_error

if TYPE_CHECKING:
    from lmkernel_conformance.endpoint.wire import Endpoint

__all__ = ["CASES"]


def _format(schema: Any) -> dict[str, Any]:
    form = {"name": "trip", "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": form}, "max_tokens": 200}


def a_schema_is_kept_to(endpoint: Endpoint) -> None:
    """A ``json_schema`` holds though the answer is drawn at a high temperature."""
    for seed in range(3):
        asked = {**_format(SCHEMA), "temperature": 1.8, "seed": seed}
        require_arguments(content_of(chat(endpoint, **asked)))


def a_schema_that_nobody_would_write_is_kept_to(endpoint: Endpoint) -> None:
    """The schema is enforced while tokens are chosen, not asked for in a prompt."""
    schema = {
        "type": "object",
        "properties": {"zq_7": {"enum": ["zzq", "qqz"]}},
        "required": ["zq_7"],
        "additionalProperties": False,
    }
    found = json.loads(content_of(chat(endpoint, **_format(schema))))
    expect('{"zq_7": "zzq" or "qqz"}', found in [{"zq_7": "zzq"}, {"zq_7": "qqz"}], found)


def a_stream_keeps_to_it(endpoint: Endpoint) -> None:
    """A stream keeps to a schema, too."""
    events = endpoint.events(CHAT, chat_body(endpoint, **_format(SCHEMA)))
    require_arguments(text_of_stream(events))


def an_object_is_an_object(endpoint: Endpoint) -> None:
    """``json_object`` begins as one, and is one unless it was cut."""
    answer = chat(endpoint, response_format={"type": "json_object"}, max_tokens=100)
    text = content_of(answer)
    expect("an object", text.lstrip().startswith("{"), text)
    if answer["choices"][0]["finish_reason"] == "stop":
        expect("an object", isinstance(json.loads(text), dict), text)


def a_schema_that_is_none_is_refused(endpoint: Endpoint) -> None:
    """A schema that makes no sense is refused before anything is written."""
    chat(endpoint, **_format(SCHEMA))
    body = chat_body(endpoint, **_format({"type": "cat"}))
    require_error(endpoint.post(CHAT, body), 400, 422)


CASES = cases_of(
    "structured",
    (
        a_schema_is_kept_to,
        a_schema_that_nobody_would_write_is_kept_to,
        a_stream_keeps_to_it,
        an_object_is_an_object,
        a_schema_that_is_none_is_refused,
    ),
)
