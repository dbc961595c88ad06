"""``lmkernel certify --endpoint``: ours is certified, and servers made wrong on purpose are not."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import lmkernel_serve.answers as answering
import lmkernel_serve.app as serving_app
import lmkernel_serve.plans as planning
import pytest
from lmkernel_serve.bodies import ChoiceBodies
from lmkernel_serve.chat_bodies import ChatBodies
from lmkernel_serve.errors import ApiError
from lmkernel_serve.served import Served
from lmkernel_serve.worker import Worker

from lmkernel.generation import Failed, Scheduler
from lmkernel.generation.prefixes import Prefixes
from lmkernel.structured import GrammarMask
from lmkernel.tokenizers import TextStream
from lmkernel_conformance.endpoint.case import CATEGORIES
from lmkernel_conformance.endpoint.cases import CASES
from lmkernel_conformance.endpoint.certification import certify_endpoint, run_case
from lmkernel_conformance.endpoint.wire import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory, serving: Any, tiny: Any) -> Any:
    """A server with a key, room for a conversation, and little for a queue."""
    own = tiny(tmp_path_factory.mktemp("roomy") / "tiny", max_position_embeddings=1024)
    served = Served("tiny", own, most_rows=4, most_waiting=8)
    with serving(served, key="sesame") as address:
        yield address, served


@pytest.fixture
def address(roomy: tuple[str, Served]) -> Any:
    """Its address; what a test left running there ends with it."""
    yield roomy[0]
    worker = roomy[1].worker
    worker.cancel(list(worker._readers))


def test_ours_is_certified(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lmkernel.cli.main import main

    command = ["certify", "--endpoint", f"{address}/v1", "--key", "sesame", "--flood", "40"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "certified" in shown
    found = json.loads((tmp_path / "out" / "certificate.json").read_text())
    assert {row["state"] for row in found["cases"]} == {"passed"}
    assert [*dict.fromkeys(row["category"] for row in found["cases"])] == [*CATEGORIES]
    page = (tmp_path / "out" / "certificate.html").read_text()
    assert "http" not in page.replace(f"{address}/v1", "")
    assert main(["certify", "--verify", str(tmp_path / "out" / "certificate.json")]) == 0


def test_a_part_is_no_certificate(address: str) -> None:
    asked = {"key": "sesame", "categories": ["embeddings"], "progress": False}
    assert certify_endpoint(f"{address}/v1", **asked).verdict == "passed in part"


def state(address: str, key: str, **options: Any) -> str:
    """The state of one case; a server that refuses what it should have is no better."""
    [case] = [case for case in CASES if case.key == key]
    endpoint = Endpoint(f"{address}/v1", "tiny", key="sesame", **{"limit": 20, **options})
    return str(run_case(case, endpoint)["state"])


def cut_characters(patch: Patch) -> None:
    def push(self: TextStream, token: int) -> str:
        return self._decode([token])

    patch.setattr(TextStream, "push", push)


def leak_the_prompt(patch: Patch) -> None:
    first = TextStream.__init__

    def init(self: TextStream, decode: Any, before: Any = ()) -> None:
        first(self, decode)
        self._window = list(before)

    patch.setattr(TextStream, "__init__", init)


def crash_at_chinese(patch: Patch) -> None:
    made = answering.TextGeneration

    def generation(*args: Any, stop: Any, **more: Any) -> Any:
        "".join(stop).encode("ascii")
        return made(*args, stop=stop, **more)

    patch.setattr(answering, "TextGeneration", generation)


def compute_in_two_threads(patch: Patch) -> None:
    step = Scheduler.step

    def one(self: Scheduler) -> Any:
        if self.running > 1:
            raise RuntimeError("There is no stream in the current thread")
        return step(self)

    patch.setattr(Scheduler, "step", one)


def crash_at_what_was_kept(patch: Patch) -> None:
    longest = Prefixes.longest

    def crash(self: Prefixes, prompt: Any) -> Any:
        found = longest(self, prompt)
        if len(found):
            raise IndexError("the cache has another length")
        return found

    patch.setattr(Prefixes, "longest", crash)


def lose_the_reason(patch: Patch) -> None:
    parts = ChatBodies._parts

    def lost(self: ChatBodies, piece: Any) -> Any:
        found = parts(self, piece)
        if self._plan.logprobs is not None:
            for part in found:
                part["finish_reason"] = None
        return found

    patch.setattr(ChatBodies, "_parts", lost)


def take_a_mapping_for_ids(patch: Patch) -> None:
    patch.setattr(planning, "render_with_tools", lambda *_: "input_ids attention_mask")


def keep_the_places_of_who_left(patch: Patch) -> None:
    step = Scheduler.step
    patch.setattr(Worker, "cancel", lambda *_: None)
    patch.setattr(Scheduler, "step", lambda self: time.sleep(0.01) or step(self))


def end_the_others(patch: Patch) -> None:
    find = serving_app._Api._find

    def end(self: Any, name: Any) -> Any:
        try:
            return find(self, name)
        except ApiError as error:
            for model in self._models.values():
                for request in list(model.worker._readers):
                    model.worker._deliver(Failed(request, error))
            raise

    step = Scheduler.step
    patch.setattr(serving_app._Api, "_find", end)
    patch.setattr(Scheduler, "step", lambda self: time.sleep(0.01) or step(self))


BUGS: list[tuple[Callable[[Patch], None], str]] = [
    (cut_characters, "streaming/characters_are_whole_though_drawn_in_pieces"),
    (leak_the_prompt, "streaming/a_prompt_may_end_inside_a_character"),
    (crash_at_chinese, "required/a_stop_may_be_chinese"),
    (compute_in_two_threads, "limits/many_are_answered_as_if_alone"),
    (crash_at_what_was_kept, "required/a_conversation_goes_on"),
    (lose_the_reason, "streaming/a_reason_comes_with_log_probabilities"),
    (take_a_mapping_for_ids, "required/a_longer_prompt_has_more_tokens"),
    (keep_the_places_of_who_left, "limits/clients_that_go_away_free_their_places"),
    (end_the_others, "errors/one_bad_request_leaves_the_others"),
]


@pytest.mark.parametrize(("bug", "key"), BUGS, ids=lambda x: getattr(x, "__name__", None))
def test_a_bug_that_every_server_had_is_found(
    address: str, bug: Callable[[Patch], None], key: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        bug(patch)
        assert state(address, key, limit=5) == "failed"


def test_a_queue_without_an_end_is_found(tmp_path: Path, serving: Any, tiny: Any) -> None:
    own = Served("tiny", tiny(tmp_path / "tiny"), most_rows=4, most_waiting=10**6)
    with serving(own) as address:
        assert state(address, "limits/a_full_queue_says_so", flood=30) == "failed"


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


OTHERS: list[tuple[Callable[[Patch], None], str]] = [
    (drop_the_end, "streaming/chunks_make_the_answer"),
    (always_tell_usage, "streaming/usage_comes_where_it_is_asked_for"),
    (number_no_calls, "tools/calls_are_streamed"),
    (ask_for_a_form_in_words, "structured/a_schema_that_nobody_would_write_is_kept_to"),
    (ask_for_a_form_in_words, "tools/arguments_always_fit"),
    (tell_errors_in_another_form, "errors/an_unknown_model_is_not_found"),
    (say_nothing_of_when_to_retry, "limits/a_full_queue_says_so"),
]


@pytest.mark.parametrize(("fault", "key"), OTHERS, ids=lambda x: getattr(x, "__name__", None))
def test_another_fault_is_found(address: str, fault: Callable[[Patch], None], key: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        assert state(address, key, flood=40) == "failed"
