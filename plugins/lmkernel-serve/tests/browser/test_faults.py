"""What the page says when the server is gone, full, or asks for a key."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lmkernel_serve.served import Served
from playwright.sync_api import expect

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page


def send(page: Page, text: str = "the cat?") -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


HELD = """(body) => {
  window.held = fetch("v1/completions", { method: "POST", body }).then((answer) => answer.json());
}"""


def test_a_full_server(chat: Page, gate: Any, problems: list[str]) -> None:
    gate.close(1)
    body = {"model": "tiny", "prompt": "a", "max_tokens": 4}
    chat.evaluate(HELD, json.dumps(body))
    chat.wait_for_function(
        "async () => (await (await fetch('metrics')).text()).match(/(running|waiting)\\S* [1-9]/)"
    )
    send(chat)
    fault = chat.get_by_role("alert")
    expect(fault).to_contain_text("The server is busy with others. Try again in a moment.")
    gate.open()
    chat.evaluate("() => window.held")
    fault.get_by_role("button", name="Try again").click()
    expect(chat.get_by_text("12 tokens")).to_be_visible()
    expect(fault).to_have_count(0)
    problems.clear()


def test_a_key(page: Page, tiny: Any, serving: Any, tmp_path: Path, problems: list[str]) -> None:
    with serving(Served("tiny", tiny(tmp_path / "own")), key="secret") as address:
        page.goto(address)
        dialog = page.get_by_role("dialog", name="This server asks for a key")
        dialog.get_by_label("Key").fill("wrong")
        page.keyboard.press("Enter")
        expect(dialog).to_be_visible()
        dialog.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("alert")).to_contain_text("The server needs its key.")
        page.get_by_role("button", name="Try again").click()
        dialog.get_by_label("Key").fill("secret")
        dialog.get_by_role("button", name="Use the key").click()
        expect(page.get_by_label("Model", exact=True)).to_have_value("tiny")
        assert page.evaluate("JSON.stringify(localStorage)").count("secret") == 0
        send(page)
        page.wait_for_selector(".message.assistant .acts")
        expect(page.get_by_role("alert")).to_have_count(0)
    problems.clear()


def test_a_server_that_goes(
    page: Page, tiny: Any, serving: Any, tmp_path: Path, problems: list[str]
) -> None:
    with serving(Served("tiny", tiny(tmp_path / "own"))) as address:
        page.goto(address)
        page.wait_for_selector("#model option", state="attached")
    send(page)
    fault = page.get_by_role("alert")
    expect(fault).to_contain_text("The server cannot be reached. Is it still running?")
    expect(page.locator(".message.user .body")).to_have_text("the cat?")
    expect(fault.get_by_role("button", name="Try again")).to_be_enabled()
    problems.clear()


def test_a_stream_that_breaks(chat: Page) -> None:
    part = 'data: {"choices":[{"delta":{"content":"half"},"finish_reason":null}]}\n\n'
    chat.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(content_type="text/event-stream", body=part),
    )
    send(chat)
    expect(chat.get_by_role("alert")).to_contain_text("The connection ended before the answer did.")
    expect(chat.locator(".message.assistant .body")).to_have_text("half")


def test_a_fault_in_a_stream(chat: Page) -> None:
    part = 'data: {"error":{"message":"the time of this request is over"}}\n\n'
    chat.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(content_type="text/event-stream", body=part),
    )
    send(chat)
    expect(chat.get_by_role("alert")).to_contain_text("The time of this request is over.")


def test_a_refusal_is_told_in_the_servers_words(chat: Page, problems: list[str]) -> None:
    send(chat, "the cat " * 400)
    expect(chat.get_by_role("alert")).to_contain_text(re.compile("the model's context"))
    problems.clear()


def test_a_server_without_a_model_that_chats(
    page: Page, tiny: Any, serving: Any, tmp_path: Path
) -> None:
    with serving(Served("tiny", tiny(tmp_path / "own"), embeds_only=True)) as address:
        page.goto(address)
        expect(page.get_by_role("alert")).to_contain_text("This server has no model that chats")
        send(page)
        expect(page.locator(".message")).to_have_count(0)
        expect(page.get_by_label("Message", exact=True)).to_have_value("the cat?")
