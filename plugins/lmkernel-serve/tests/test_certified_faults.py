"""What clients depend on, gone wrong on purpose one thing at a time: the certificate finds each."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import lmkernel_serve.app as serving_app
import lmkernel_serve.plans as planning
import pytest
from lmkernel_serve import conversations, vectors
from lmkernel_serve.bodies import ChoiceBodies, CompletionBodies
from lmkernel_serve.chat_bodies import ChatBodies
from lmkernel_serve.documents import ChatDocument
from lmkernel_serve.errors import ApiError
from lmkernel_serve.models import Models
from lmkernel_serve.response_bodies import ResponseBodies

from lmkernel.structured import GrammarMask

if TYPE_CHECKING:
    from collections.abc import Callable

    Patch = pytest.MonkeyPatch


def drop_the_end(patch: Patch) -> None:
    patch.setattr(ChoiceBodies, "last", "")


def always_tell_usage(patch: Patch) -> None:
    parts = ChatBodies._chunk

    def chunk(self: ChatBodies, choices: Any) -> Any:
        return {**parts(self, choices), "usage": {"completion_tokens": 1}}

    patch.setattr(ChatBodies, "_chunk", chunk)


def number_no_calls(patch: Patch) -> None:
    delta = ChatBodies._delta

    def unnumbered(self: ChatBodies, index: int, delta_: Any, reason: str = "") -> Any:
        for call in delta_.get("tool_calls", ()):
            call.pop("index")
        return delta(self, index, delta_, reason)

    patch.setattr(ChatBodies, "_delta", unnumbered)


def ask_for_a_form_in_words(patch: Patch) -> None:
    patch.setattr(GrammarMask, "__call__", lambda _, logits, __: logits)


def tell_errors_in_another_form(patch: Patch) -> None:
    patch.setattr(ApiError, "json", lambda self: {"detail": str(self)})


def say_nothing_of_when_to_retry(patch: Patch) -> None:
    init = ApiError.__init__

    def without(self: ApiError, *args: Any, **more: Any) -> None:
        init(self, *args, **{**more, "headers": None})

    patch.setattr(ApiError, "__init__", without)


def answer_for_any_model(patch: Patch) -> None:
    patch.setattr(Models, "find", lambda self, _: next(iter(self)))


def drop_what_is_not_known(patch: Patch) -> None:
    read = ChatDocument.model_validate

    def known(document: Any) -> Any:
        return read({name: x for name, x in document.items() if name in ChatDocument.model_fields})

    patch.setattr(ChatDocument, "model_validate", known)


def score_no_stream(patch: Patch) -> None:
    parts = ChatBodies._parts
    patch.setattr(ChatBodies, "_parts", lambda self, piece: _unscored(parts(self, piece)))


def _unscored(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**part, "logprobs": None} for part in parts]


def score_no_prompt(patch: Patch) -> None:
    logprobs = CompletionBodies._logprobs

    def without(self: CompletionBodies, piece: Any) -> Any:
        return logprobs(self, replace(piece, tokens=()) if piece.echo else piece)

    patch.setattr(CompletionBodies, "_logprobs", without)


def answer_the_first_prompt_alone(patch: Patch) -> None:
    prompts = planning._prompts
    patch.setattr(planning, "_prompts", lambda given: prompts(given)[:1])


def pass_over_the_new_name_of_a_limit(patch: Patch) -> None:
    plan = planning.plan_chat

    def without(served: Any, document: Any, *more: Any) -> Any:
        return plan(served, document.model_copy(update={"max_completion_tokens": None}), *more)

    patch.setattr(serving_app, "plan_chat", without)


def pass_over_the_seed(patch: Patch) -> None:
    options = planning._options

    def drawn(document: Any, most: int) -> Any:
        return options(document.model_copy(update={"seed": None}), most)

    patch.setattr(planning, "_options", drawn)


def show_parts_as_they_are(patch: Patch) -> None:
    patch.setattr(conversations, "_content", str)


def number_no_events(patch: Patch) -> None:
    events = ResponseBodies._events

    def unnumbered(self: ResponseBodies, found: Any) -> Any:
        return [{**event, "sequence_number": 0} for event in events(self, found)]

    patch.setattr(ResponseBodies, "_events", unnumbered)


def send_numbers_of_64_bits(patch: Patch) -> None:
    encode = vectors._encode
    patch.setattr(
        vectors, "_encode", lambda x, kind: encode(x, kind) if kind == "float" else wide(x)
    )

    def wide(x: Any) -> str:
        return base64.b64encode(x.astype("<f8").tobytes()).decode()


FAULTS: list[tuple[Callable[[Patch], None], str]] = [
    (drop_the_end, "streaming/chunks_make_the_answer"),
    (always_tell_usage, "streaming/usage_comes_where_it_is_asked_for"),
    (number_no_calls, "tools/calls_are_streamed"),
    (ask_for_a_form_in_words, "structured/a_schema_that_nobody_would_write_is_kept_to"),
    (ask_for_a_form_in_words, "tools/arguments_always_fit"),
    (tell_errors_in_another_form, "errors/an_unknown_model_is_not_found"),
    (say_nothing_of_when_to_retry, "limits/a_full_queue_says_so"),
    (answer_for_any_model, "errors/an_unknown_model_is_not_found"),
    (drop_what_is_not_known, "errors/an_unknown_field_is_refused_by_name"),
    (score_no_stream, "log-probabilities/a_stream_has_the_same_scores"),
    (score_no_prompt, "log-probabilities/a_prompt_is_scored"),
    (answer_the_first_prompt_alone, "required/prompts_may_be_several"),
    (pass_over_the_new_name_of_a_limit, "required/the_number_of_tokens_is_limited"),
    (pass_over_the_seed, "required/a_seed_fixes_the_draws"),
    (show_parts_as_they_are, "required/parts_are_a_text"),
    (number_no_events, "responses/events_are_in_order"),
    (send_numbers_of_64_bits, "embeddings/bytes_are_the_numbers"),
]


@pytest.mark.parametrize(("fault", "key"), FAULTS, ids=lambda x: getattr(x, "__name__", None))
def test_a_fault_is_found(
    roomy_address: str, state: Any, fault: Callable[[Patch], None], key: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        assert state(roomy_address, key, flood=40) == "failed"
