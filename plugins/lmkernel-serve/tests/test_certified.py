"""``lmkernel certify --endpoint``: ours is certified, and servers made wrong on purpose are not."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import lmkernel_serve.answers as answering
import pytest
from lmkernel_serve import conversations
from lmkernel_serve.chat_bodies import ChatBodies
from lmkernel_serve.errors import ApiError
from lmkernel_serve.models import Models
from lmkernel_serve.served import Served
from lmkernel_serve.worker import Worker

from lmkernel.generation import Failed, Scheduler
from lmkernel.generation.prefixes import Prefixes
from lmkernel.tokenizers import TextStream
from lmkernel_conformance.endpoint.case import CATEGORIES
from lmkernel_conformance.endpoint.certification import certify_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Patch = pytest.MonkeyPatch


def test_ours_is_certified(
    roomy_address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lmkernel.cli.main import main

    command = ["certify", "--endpoint", f"{roomy_address}/v1", "--key", "sesame", "--flood", "40"]
    command += ["--speech-model", "waves"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "certified" in shown
    found = json.loads((tmp_path / "out" / "certificate.json").read_text())
    others = {row["case"]: row["state"] for row in found["cases"] if row["state"] != "passed"}
    assert others == {"audio/a_translation_is_a_text": "unsupported"}  # by a model that spells
    assert [*dict.fromkeys(row["category"] for row in found["cases"])] == [*CATEGORIES]
    page = (tmp_path / "out" / "certificate.html").read_text()
    assert "http" not in page.replace(f"{roomy_address}/v1", "")
    assert main(["certify", "--verify", str(tmp_path / "out" / "certificate.json")]) == 0


def test_a_server_without_a_model_that_hears_is_not_asked(roomy_address: str) -> None:
    asked = {"key": "sesame", "categories": ["audio"], "progress": False}
    found = certify_endpoint(f"{roomy_address}/v1", **asked).json()
    assert {row["state"] for row in found["cases"]} == {"unsupported"}
    assert "without a model that hears" in found["cases"][0]["message"]


def test_a_part_is_no_certificate(roomy_address: str) -> None:
    asked = {"key": "sesame", "categories": ["embeddings"], "progress": False}
    assert certify_endpoint(f"{roomy_address}/v1", **asked).verdict == "passed in part"


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
    patch.setattr(conversations, "render_with_tools", lambda *_: "input_ids attention_mask")


def keep_the_places_of_who_left(patch: Patch) -> None:
    step = Scheduler.step
    patch.setattr(Worker, "cancel", lambda *_: None)
    patch.setattr(Scheduler, "step", lambda self: time.sleep(0.1) or step(self))


def end_the_others(patch: Patch) -> None:
    find = Models.find

    def end(self: Any, name: Any) -> Any:
        try:
            return find(self, name)
        except ApiError as error:
            for model in self:
                for request in list(model.worker._readers):
                    model.worker._deliver(Failed(request, error))
            raise

    step = Scheduler.step
    patch.setattr(Models, "find", end)
    patch.setattr(Scheduler, "step", lambda self: time.sleep(0.1) or step(self))


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
    roomy_address: str, state: Any, bug: Callable[[Patch], None], key: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        bug(patch)
        assert state(roomy_address, key, limit=5) == "failed"


def test_a_queue_without_an_end_is_found(
    tmp_path: Path, serving: Any, tiny: Any, state: Any
) -> None:
    own = Served("tiny", tiny(tmp_path / "tiny"), most_rows=4, most_waiting=10**6)
    with serving(own) as address:
        assert state(address, "limits/a_full_queue_says_so", flood=30) == "failed"
