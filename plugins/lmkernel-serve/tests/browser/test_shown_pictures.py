"""Pictures in the page: attached, taken away, sent, kept with the question, and asked for again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from lmkernel_serve.served import Served
from picture_models import save_pictures
from playwright.sync_api import expect
from seeing_models import seeing_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page, Request


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory, serving: Any) -> Iterator[str]:
    """The address of a page whose model sees."""
    model = seeing_model(tmp_path_factory.mktemp("seeing") / "m", "smolvlm")
    with serving(Served("sees", model)) as address:
        yield address


@pytest.fixture
def asked(page: Page, seeing: str) -> Page:
    page.add_init_script(
        "localStorage.setItem('lmkernel.settings', JSON.stringify({max_tokens: '4'}))"
    )
    page.goto(seeing)
    page.wait_for_selector("#model option", state="attached")
    return page


def sent(request: Request) -> Any:
    return json.loads(str(request.post_data))["messages"]


def test_a_question_about_pictures(asked: Page, tmp_path: Path) -> None:
    paths = save_pictures(tmp_path)
    asked.get_by_role("button", name="Add pictures").wait_for()
    asked.locator("#files").set_input_files(paths)
    attached = asked.locator("#attached img")
    expect(attached).to_have_count(3)
    asked.get_by_role("button", name="Remove picture 2").click()
    expect(attached).to_have_count(2)
    asked.get_by_label("Message", exact=True).fill("What?")
    with asked.expect_request("**/v1/chat/completions") as begun:
        asked.get_by_role("button", name="Send").click()
    [message] = sent(begun.value)
    kinds = [part["type"] for part in message["content"]]
    assert kinds == ["image_url", "image_url", "text"]
    assert message["content"][0]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    expect(asked.locator(".message.user .pictures img")).to_have_count(2)
    expect(attached).to_have_count(0)
    expect(asked.get_by_text("4 tokens")).to_be_visible()
    with asked.expect_request("**/v1/chat/completions") as again:
        asked.get_by_role("button", name="Ask again").click()
    assert sent(again.value) == [message]


def test_a_file_that_is_no_picture_is_named(asked: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture")
    asked.locator("#files").set_input_files(tmp_path / "notes.png")
    expect(asked.locator("#status")).to_have_text("No pictures: notes.png")
    expect(asked.locator("#attached img")).to_have_count(0)


def test_a_model_that_sees_none_is_shown_none(chat: Page) -> None:
    expect(chat.locator("#attach")).to_be_hidden()
