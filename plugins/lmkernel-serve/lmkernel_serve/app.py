"""The application: which path is answered by whom, and what every request goes through."""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING, final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lmkernel_serve.answers import Usage, pieces
from lmkernel_serve.assets import page_routes
from lmkernel_serve.audio_documents import TranscriptionDocument, TranslationDocument
from lmkernel_serve.bodies import Bodies, CompletionBodies
from lmkernel_serve.chat_bodies import ChatBodies
from lmkernel_serve.documents import (
    ChatDocument,
    CompletionDocument,
    DetokenizeDocument,
    EmbeddingDocument,
    TokenizeDocument,
)
from lmkernel_serve.errors import ApiError, explain
from lmkernel_serve.hearing import plan_hearing
from lmkernel_serve.hosts import HostCheck
from lmkernel_serve.limits import Limits
from lmkernel_serve.metrics import Metrics
from lmkernel_serve.models import Models
from lmkernel_serve.openapi import openapi_document
from lmkernel_serve.plans import Plan, plan_chat, plan_completion, plan_response
from lmkernel_serve.reading import read_document, read_form
from lmkernel_serve.response_bodies import ResponseBodies
from lmkernel_serve.response_documents import ResponseDocument, messages_of
from lmkernel_serve.response_store import ResponseStore
from lmkernel_serve.streaming import send
from lmkernel_serve.tokenizing import ids_body, info_body, text_body
from lmkernel_serve.transcript_bodies import send_transcript
from lmkernel_serve.vectors import embedding_body
from lmkernel_serve.views import (
    AttentionDocument,
    ContinueDocument,
    LensDocument,
    attention_body,
    lens_body,
    model_body,
)
from lmkernel_serve.waiting import ClientGone, unless_gone

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from starlette.requests import Request

    from lmkernel_serve.audio_documents import SoundDocument
    from lmkernel_serve.served import Served

    Handler = Callable[[Request], Awaitable[Response]]

__all__ = ["Limits", "make_app"]

_GONE = 499


def make_app(
    models: Sequence[Served],
    *,
    key: str | None = None,
    limits: Limits | None = None,
    origins: Sequence[str] = (),
    hosts: Collection[str] | None = None,
) -> Starlette:
    """The application over models that were opened.

    Args:
        models: the first is that of requests that may leave it out.
        key: what clients must show, as a bearer token; None lets everybody in.
        limits: of each request.
        origins: of pages that browsers may let ask.
        hosts: names under which it may be asked, beside this machine's own; None for any.
    """
    api = _Api(models, key, limits or Limits())
    around = [] if hosts is None else [Middleware(HostCheck, names=hosts)]
    if origins:
        around.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(origins),
                allow_methods=["*"],
                allow_headers=["*"],
            )
        )
    routes = [
        Route(path, api.guarded(path, handler), methods=[method])
        for method, path, handler in (
            ("GET", "/v1/models", api.list_models),
            ("GET", "/v1/models/{name:path}", api.show_model),
            ("POST", "/v1/chat/completions", api.chat),
            ("POST", "/v1/completions", api.complete),
            ("POST", "/v1/responses", api.respond),
            ("GET", "/v1/responses/{name}", api.show_response),
            ("DELETE", "/v1/responses/{name}", api.forget_response),
            ("POST", "/v1/embeddings", api.embed),
            ("POST", "/v1/audio/transcriptions", api.transcribe),
            ("POST", "/v1/audio/translations", api.translate),
            ("POST", "/tokenize", api.tokenize),
            ("POST", "/detokenize", api.detokenize),
            ("GET", "/tokenizer_info", api.show_tokenizer),
            ("GET", "/lmkernel/models", api.describe_models),
            ("POST", "/lmkernel/continue", api.resume),
            ("POST", "/lmkernel/attention", api.attention),
            ("POST", "/lmkernel/lens", api.lens),
            ("GET", "/openapi.json", api.show_schema),
            ("GET", "/health", api.health),
            ("GET", "/metrics", api.show_metrics),
        )
    ]
    app = Starlette(
        routes=[*routes, *page_routes()],
        middleware=around,
        exception_handlers={HTTPException: _http_error},
    )
    # a redirection would be to whatever Host a request claims
    app.router.redirect_slashes = False
    return app


async def _http_error(_: Request, error: Exception) -> Response:
    """Paths and methods that are not there."""
    if not isinstance(error, HTTPException):
        raise error
    said = ApiError(error.detail, error.status_code, headers=error.headers)
    return said.response()


@final
class _Api:
    """The answers of one server."""

    def __init__(self, models: Sequence[Served], key: str | None, limits: Limits) -> None:
        self._models = Models(models)
        self._key = None if key is None else key.encode()
        self._limits = limits
        self._metrics = Metrics(models)
        self._responses = ResponseStore()

    def guarded(self, path: str, handler: Handler) -> Handler:
        """A handler behind the key, whose errors are in OpenAI's form."""

        async def guard(request: Request) -> Response:
            try:
                if path != "/health":
                    self._check_key(request)
                response = await handler(request)
            except (ClientGone, ClientDisconnect):
                response = Response(status_code=_GONE)
            except Exception as error:  # noqa: BLE001 - any fault is told in the one form
                response = explain(error).response()
            self._metrics.answered(path, response.status_code)
            return response

        return guard

    def _check_key(self, request: Request) -> None:
        if self._key is None:
            return
        kind, _, shown = request.headers.get("authorization", "").partition(" ")
        # compared in a time that does not depend on where they differ
        right = hmac.compare_digest(shown.strip().encode("utf-8", "surrogateescape"), self._key)
        if kind.lower() != "bearer" or not right:
            raise ApiError("expected the server's key as a bearer token", 401, code="invalid_key")

    async def list_models(self, _: Request) -> Response:
        data = [model.card() for model in self._models]
        return JSONResponse({"object": "list", "data": data})

    async def show_model(self, request: Request) -> Response:
        return JSONResponse(self._models.find(request.path_params["name"]).card())

    async def chat(self, request: Request) -> Response:
        document = await read_document(request, ChatDocument, self._limits.body)
        served = self._models.generator(document.model)
        plan = await asyncio.to_thread(plan_chat, served, document)
        return await self._answer(request, served, plan, ChatBodies(served, plan))

    async def complete(self, request: Request) -> Response:
        document = await read_document(request, CompletionDocument, self._limits.body)
        served = self._models.generator(document.model)
        plan = await asyncio.to_thread(plan_completion, served, document)
        return await self._answer(request, served, plan, CompletionBodies(served, plan))

    async def respond(self, request: Request) -> Response:
        document = await read_document(request, ResponseDocument, self._limits.body)
        served = self._models.generator(document.model)
        before = self._responses.messages(document.previous_response_id)
        messages = [*before, *messages_of(document)]
        plan = await asyncio.to_thread(plan_response, served, document, messages)
        bodies = ResponseBodies(served, plan, document, messages, self._responses)
        return await self._answer(request, served, plan, bodies)

    async def show_response(self, request: Request) -> Response:
        return JSONResponse(self._responses.body(request.path_params["name"]))

    async def forget_response(self, request: Request) -> Response:
        name = request.path_params["name"]
        self._responses.forget(name)
        return JSONResponse({"id": name, "object": "response", "deleted": True})

    async def _answer(
        self, request: Request, served: Served, plan: Plan, bodies: Bodies
    ) -> Response:
        usage = Usage(sum(len(one.prompt) for one in plan.requests))
        found = pieces(served, plan, usage, request.receive, self._metrics, self._limits.seconds)
        return await send(found, bodies, usage, stream=plan.stream)

    async def embed(self, request: Request) -> Response:
        document = await read_document(request, EmbeddingDocument, self._limits.body)
        return JSONResponse(await embedding_body(self._models.find(document.model), document))

    async def transcribe(self, request: Request) -> Response:
        return await self._hear(request, TranscriptionDocument)

    async def translate(self, request: Request) -> Response:
        return await self._hear(request, TranslationDocument)

    async def _hear(self, request: Request, kind: type[SoundDocument]) -> Response:
        document = await read_form(request, kind, self._limits.form)
        hearing = plan_hearing(self._models.hearer(document.model), document, self._limits)
        return await send_transcript(hearing, request.receive, self._metrics)

    async def tokenize(self, request: Request) -> Response:
        document = await read_document(request, TokenizeDocument, self._limits.body)
        served = self._models.find(document.model)
        return JSONResponse(await asyncio.to_thread(ids_body, served, document))

    async def detokenize(self, request: Request) -> Response:
        document = await read_document(request, DetokenizeDocument, self._limits.body)
        return JSONResponse(text_body(self._models.find(document.model), document))

    async def show_tokenizer(self, request: Request) -> Response:
        return JSONResponse(info_body(self._models.find(request.query_params.get("model"))))

    async def describe_models(self, _: Request) -> Response:
        return JSONResponse({"data": [model_body(model) for model in self._models]})

    async def resume(self, request: Request) -> Response:
        document = await read_document(request, ContinueDocument, self._limits.body)
        served = self._models.generator(document.model)
        plan = await asyncio.to_thread(plan_chat, served, document, document.answer)
        return await self._answer(request, served, plan, ChatBodies(served, plan))

    async def attention(self, request: Request) -> Response:
        document = await read_document(request, AttentionDocument, self._limits.body)
        work = attention_body(self._models.generator(document.model), document)
        return JSONResponse(await unless_gone(request.receive, work))

    async def lens(self, request: Request) -> Response:
        document = await read_document(request, LensDocument, self._limits.body)
        work = lens_body(self._models.generator(document.model), document)
        return JSONResponse(await unless_gone(request.receive, work))

    async def show_schema(self, _: Request) -> Response:
        return JSONResponse(openapi_document())

    async def health(self, _: Request) -> Response:
        alive = all(model.worker.alive for model in self._models)
        return JSONResponse({"status": "ok" if alive else "stopping"}, 200 if alive else 503)

    async def show_metrics(self, _: Request) -> Response:
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")
