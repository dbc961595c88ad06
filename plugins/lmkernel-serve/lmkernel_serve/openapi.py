"""The schema of what is answered, as OpenAPI: made from the documents that requests are read by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import models_json_schema

from lmkernel_serve.audio_documents import (
    SoundDocument,
    TranscriptionDocument,
    TranslationDocument,
)
from lmkernel_serve.documents import (
    ChatDocument,
    CompletionDocument,
    DetokenizeDocument,
    EmbeddingDocument,
    TokenizeDocument,
)
from lmkernel_serve.response_documents import ResponseDocument
from lmkernel_serve.transcript_bodies import TEXTS
from lmkernel_serve.views import AttentionDocument, ContinueDocument, LensDocument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

__all__ = ["openapi_document"]

_JSON, _FORM = "application/json", "multipart/form-data"
_EVENTS = "text/event-stream"
_POSTS: tuple[tuple[str, type[BaseModel], bool], ...] = (
    ("/v1/chat/completions", ChatDocument, True),
    ("/v1/completions", CompletionDocument, True),
    ("/v1/responses", ResponseDocument, True),
    ("/v1/embeddings", EmbeddingDocument, False),
    ("/v1/audio/transcriptions", TranscriptionDocument, True),
    ("/v1/audio/translations", TranslationDocument, False),
    ("/tokenize", TokenizeDocument, False),
    ("/detokenize", DetokenizeDocument, False),
    ("/lmkernel/continue", ContinueDocument, True),
    ("/lmkernel/attention", AttentionDocument, False),
    ("/lmkernel/lens", LensDocument, False),
)
"""Paths, what they take, and whether they can be streamed."""
_GETS = (
    "/v1/models",
    "/v1/models/{name}",
    "/v1/responses/{name}",
    "/tokenizer_info",
    "/lmkernel/models",
    "/health",
    "/metrics",
)
_ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "message": {"type": "string"},
                "type": {"enum": ["invalid_request_error", "server_error"]},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
            "required": ["message", "type", "param", "code"],
        }
    },
    "required": ["error"],
}
_STATUSES = ("400", "401", "404", "405", "413", "429", "503", "504")


def openapi_document() -> dict[str, Any]:
    """The document of version 3.1."""
    kinds = [(kind, "validation") for _, kind, _ in _POSTS]
    _, schemas = models_json_schema(kinds, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]  # a list of pairs, as it asks for
    paths: dict[str, Any] = {path: {"get": _get(path)} for path in _GETS}
    for path, kind, streams in _POSTS:
        paths[path] = {"post": _post(kind, streams=streams)}
    paths["/v1/responses/{name}"]["delete"] = _get("/v1/responses/{name}")
    return {
        "openapi": "3.1.0",
        "info": {"title": "lmkernel serve", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": {**schemas["$defs"], "Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _post(kind: type[BaseModel], *, streams: bool) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"}
    sound = issubclass(kind, SoundDocument)
    body = {"required": True, "content": {_FORM if sound else _JSON: {"schema": schema}}}
    answers = [_JSON, *(TEXTS.values() if sound else ()), *([_EVENTS] if streams else [])]
    return {"requestBody": body, "responses": dict(_responses(*answers))}


def _get(path: str) -> dict[str, Any]:
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    parameters = {"parameters": [name]} if "{name}" in path else {}
    kind = "text/plain" if path == "/metrics" else _JSON
    return {**parameters, "responses": dict(_responses(kind))}


def _responses(*kinds: str) -> Iterator[Any]:
    content: dict[str, Any] = {kind: {} for kind in kinds}
    yield "200", {"description": "the answer", "content": content}
    error = {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    for status in _STATUSES:
        yield status, {"description": "an error in the interface's form", "content": error}
