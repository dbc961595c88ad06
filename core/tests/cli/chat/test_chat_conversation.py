"""A conversation without a terminal: what a model is asked, and the file that keeps it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from stand_in import StandIn

from lmkernel.cli.chat.conversation import Conversation, Turn, read_messages
from lmkernel.errors import InputError
from lmkernel.generation import GenerationOptions

if TYPE_CHECKING:
    from pathlib import Path

SYSTEM = {"role": "system", "content": "Sing"}


def talk(*messages: dict[str, str], **options: Any) -> tuple[Conversation, StandIn]:
    model = StandIn(lambda asked: f"answer to {asked[-1]['content']}")
    conversation = Conversation(model, GenerationOptions(**options), messages)  # type: ignore[arg-type]  # it stands in
    return conversation, model


def answer(conversation: Conversation, turn: Turn) -> None:
    list(turn.answer)
    conversation.keep(turn)


def contents(conversation: Conversation) -> list[str]:
    return [message["content"] for message in conversation.messages]


def test_turn_counts_only_when_it_is_kept() -> None:
    conversation, model = talk(SYSTEM)
    turn = conversation.ask("one")
    assert contents(conversation) == ["Sing"]
    answer(conversation, turn)
    answer(conversation, conversation.ask("two"))
    assert contents(conversation) == ["Sing", "one", "answer to one", "two", "answer to two"]
    assert [message["content"] for message in model.asked[-1]] == contents(conversation)[:-1]


def test_half_an_answer_is_kept_and_goes_on() -> None:
    conversation, model = talk(max_new_tokens=6)
    answer(conversation, conversation.ask("one"))
    assert contents(conversation) == ["one", "answer"]
    answer(conversation, conversation.go_on())
    assert model.asked[-1] == "user: one\nassistant: answer"
    assert contents(conversation) == ["one", "answer and m"]


def test_cut_character_is_left_out_when_an_answer_goes_on() -> None:
    conversation, model = talk()
    conversation.messages = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "half \ufffd"},
    ]
    answer(conversation, conversation.go_on())
    assert model.asked[-1] == "user: one\nassistant: half "
    assert contents(conversation)[-1] == "half  and more"


def test_retry_asks_the_same_with_other_draws() -> None:
    conversation, model = talk(seed=2**64 - 1)
    answer(conversation, conversation.ask("one"))
    answer(conversation, conversation.retry())
    answer(conversation, conversation.retry())
    assert model.asked[0] == model.asked[1] == model.asked[2]
    assert model.seeds == [2**64 - 1, 0, 1]
    assert contents(conversation) == ["one", "answer to one"]
    answer(conversation, conversation.ask("two"))
    assert model.seeds[-1] == 2**64 - 1


def test_nothing_to_repeat_or_to_go_on_with() -> None:
    conversation, _ = talk(SYSTEM)
    with pytest.raises(InputError, match="no question yet"):
        conversation.retry()
    with pytest.raises(InputError, match="no answer yet"):
        conversation.go_on()


def test_system_message_is_set_replaced_and_outlives_a_new_beginning() -> None:
    conversation, _ = talk()
    answer(conversation, conversation.ask("one"))
    conversation.system = "Sing"
    conversation.system = "Whisper"
    assert contents(conversation) == ["Whisper", "one", "answer to one"]
    conversation.clear()
    assert contents(conversation) == ["Whisper"]
    conversation.system = ""
    assert not conversation.messages


def test_saved_conversation_is_read_back_and_replaced_by_another(tmp_path: Path) -> None:
    conversation, _ = talk(SYSTEM)
    answer(conversation, conversation.ask("grüß 你好 🌍"))
    conversation.save(tmp_path / "c.json")
    assert read_messages(tmp_path / "c.json") == conversation.messages
    conversation.clear()
    conversation.save(tmp_path / "c.json")
    assert json.loads((tmp_path / "c.json").read_text("utf-8")) == [SYSTEM]


def test_row_of_training_data_is_a_conversation(tmp_path: Path) -> None:
    (tmp_path / "row.json").write_text(json.dumps({"messages": [SYSTEM]}), "utf-8")
    assert read_messages(tmp_path / "row.json") == [SYSTEM]


@pytest.mark.parametrize(
    "content",
    ["no JSON", "[1]", '[{"role": "user"}]', '{"messages": "x"}', "3", "[" * 100_000, b"\xff"],
)
def test_other_file_is_neither_read_nor_replaced(tmp_path: Path, content: str | bytes) -> None:
    path, data = tmp_path / "f", content if isinstance(content, bytes) else content.encode()
    path.write_bytes(data)
    conversation, _ = talk(SYSTEM)
    with pytest.raises(InputError, match="expected a"):
        read_messages(path)
    with pytest.raises(InputError, match="expected a"):
        conversation.save(path)
    assert path.read_bytes() == data


@pytest.mark.parametrize("name", ["", "absent/f", "file/f", "a\0b", "x" * 300])
def test_place_that_cannot_be_written_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    conversation, _ = talk(SYSTEM)
    with pytest.raises(InputError, match="cannot be"):
        conversation.save(tmp_path / name)
