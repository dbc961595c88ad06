"""Pictures in a conversation: shown with every turn, and as URLs to a server."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from picture_models import save_pictures
from stand_in import StandIn

from lmkernel.cli.chat.conversation import Conversation
from lmkernel.cli.chat.picture_urls import messages_with_pictures
from lmkernel.errors import InputError
from lmkernel.generation import GenerationOptions

if TYPE_CHECKING:
    from pathlib import Path

ASKED = [{"role": "system", "content": "Sing"}, {"role": "user", "content": "What?"}]


def test_pictures_are_shown_with_every_turn() -> None:
    model = StandIn(lambda _: "an answer")
    options = GenerationOptions(max_new_tokens=4)
    conversation = Conversation(model, options, images=["a.png"])  # type: ignore[arg-type]  # it stands in
    for turn in (conversation.ask, lambda _: conversation.go_on(), conversation.ask):
        made = turn("one")
        list(made.answer)
        conversation.keep(made)
        assert model.shown == ["a.png"]


def test_pictures_go_to_a_server_before_the_first_question(tmp_path: Path) -> None:
    [path] = save_pictures(tmp_path, 1)
    system, first = messages_with_pictures([*ASKED], [str(path)])
    assert system == ASKED[0]
    picture, text = first["content"]
    head, _, data = picture["image_url"]["url"].partition(",")
    assert (picture["type"], head) == ("image_url", "data:image/png;base64")
    assert base64.b64decode(data) == path.read_bytes()
    assert text == {"type": "text", "text": "What?"}
    assert messages_with_pictures(ASKED, []) == ASKED


@pytest.mark.parametrize(
    ("name", "said"),
    [("notes.txt", "expected the name of a picture"), ("none.png", "cannot be read")],
)
def test_what_is_no_picture_is_not_sent(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a")
    with pytest.raises(InputError, match=said):
        messages_with_pictures(ASKED, [str(tmp_path / name)])
