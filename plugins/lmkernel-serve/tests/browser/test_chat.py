"""Asking, stopping, asking again, editing, and what is kept, as a person does it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from lmkernel.language_model import LanguageModel


def answer(page: Page) -> Any:
    return page.locator(".message.assistant .body")


def settled(text: str) -> str:
    """A text as it is compared with what is on the screen."""
    return " ".join(text.split())


def test_an_answer_is_the_librarys(
    chat: Page, ask: Any, answers: Any, model: LanguageModel
) -> None:
    ask(chat)
    chat.get_by_role("button", name="Show tokens").click()
    expected = model.chat("the cat?", max_new_tokens=12)
    [kept] = answers(chat)
    assert kept["content"] == expected.text
    assert [token["id"] for token in kept["tokens"]] == list(expected.tokens)
    expect(chat.locator(".token")).to_have_count(12)
    expect(chat.get_by_text("12 tokens")).to_be_visible()


def test_an_answer_comes_piece_by_piece_and_is_stopped(chat: Page, gate: Any) -> None:
    gate.close(4)
    chat.get_by_label("Message", exact=True).fill("the cat?")
    chat.keyboard.press("Enter")
    expect(answer(chat)).not_to_be_empty()
    expect(chat.locator(".message.assistant")).to_have_attribute("aria-busy", "true")
    chat.get_by_role("button", name="Stop").click()
    expect(chat.get_by_text("Stopped.")).to_be_visible()
    expect(chat.get_by_role("button", name="Send")).to_be_visible()
    expect(chat.locator("#status")).to_have_text("Stopped")
    gate.open()
    chat.wait_for_function(
        "async () => !(await (await fetch('metrics')).text()).match(/running\\S* [1-9]/)"
    )


def test_escape_stops_too(chat: Page, gate: Any) -> None:
    gate.close(3)
    chat.get_by_label("Message", exact=True).fill("the cat?")
    chat.keyboard.press("Enter")
    expect(chat.get_by_role("button", name="Stop")).to_be_visible()
    chat.keyboard.press("Escape")
    expect(chat.get_by_text("Stopped.")).to_be_visible()


def test_asking_again_keeps_both_answers(chat: Page, ask: Any) -> None:
    ask(chat)
    chat.get_by_role("button", name="Parameters").click()
    chat.get_by_label("Temperature").fill("2")
    chat.get_by_label("Seed").fill("8")
    first = settled(answer(chat).inner_text())
    chat.get_by_role("button", name="Ask again").click()
    expect(chat.get_by_text("2 / 2")).to_be_visible()
    expect(chat.get_by_text("seed 8")).to_be_visible()
    assert settled(answer(chat).inner_text()) != first
    chat.get_by_role("button", name="The version before").click()
    expect(chat.get_by_text("1 / 2")).to_be_visible()
    assert settled(answer(chat).inner_text()) == first


def test_an_edited_question_is_another_version(
    chat: Page, ask: Any, answers: Any, model: LanguageModel
) -> None:
    ask(chat)
    chat.locator(".message.user").hover()
    chat.get_by_role("button", name="Edit").click()
    chat.get_by_label("Your message").fill("a dog")
    chat.keyboard.press("Enter")
    expect(chat.get_by_text("2 / 2")).to_be_visible()
    expect(chat.locator(".message.user .body")).to_have_text("a dog")
    chat.wait_for_selector(".message.assistant .acts")
    assert answers(chat)[-1]["content"] == model.chat("a dog", max_new_tokens=12).text


def test_an_edit_is_left_by_escape(chat: Page, ask: Any) -> None:
    ask(chat)
    chat.locator(".message.user").hover()
    chat.get_by_role("button", name="Edit").click()
    chat.get_by_label("Your message").fill("a dog")
    chat.keyboard.press("Escape")
    expect(chat.locator(".message.user .body")).to_have_text("the cat?")
    expect(chat.locator(".message")).to_have_count(2)


def test_parameters_reach_the_server(chat: Page) -> None:
    chat.get_by_role("button", name="Parameters").click()
    chat.get_by_label("System prompt").fill("be brief")
    chat.get_by_label("Temperature").fill("1.5")
    chat.get_by_label("Top-p").fill("0.5")
    chat.get_by_label("Maximum tokens").fill("3")
    chat.get_by_label("Stop sequences").fill("\n\nxyz\n")
    chat.get_by_role("button", name="Close the panel").click()
    chat.get_by_label("Message", exact=True).fill("the cat?")
    with chat.expect_request("**/v1/chat/completions") as caught:
        chat.keyboard.press("Enter")
    body = caught.value.post_data_json
    assert body["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "the cat?"},
    ]
    asked = {name: body[name] for name in ("temperature", "top_p", "max_tokens", "seed", "stop")}
    assert asked == {"temperature": 1.5, "top_p": 0.5, "max_tokens": 3, "seed": 7, "stop": ["xyz"]}
    chat.wait_for_selector(".message.assistant .acts")


def test_conversations_last_and_are_opened_renamed_and_deleted(chat: Page, ask: Any) -> None:
    ask(chat, "the first one")
    before = answer(chat).inner_text()
    chat.get_by_role("button", name="New chat").click()
    ask(chat, "the second one")
    chat.reload()
    chat.get_by_role("button", name="the first one", exact=True).click()
    expect(chat.locator(".message.user .body")).to_have_text("the first one")
    assert answer(chat).inner_text() == before
    chat.get_by_role("button", name="Rename “the first one”").click()
    chat.get_by_label("Title").fill("a name")
    chat.keyboard.press("Enter")
    expect(chat.get_by_role("button", name="a name", exact=True)).to_be_visible()
    remove = chat.get_by_role("button", name="Delete “a name”")
    remove.click()
    chat.get_by_role("button", name="Press again to delete “a name”").click()
    expect(chat.locator("#conversations li")).to_have_count(1)
    expect(chat.locator(".message")).to_have_count(0)


def test_what_is_said_is_never_html(chat: Page) -> None:
    said = "<img src=x onerror=document.title='broken'> **bold** [a](javascript:document.title='x')"
    done = '{"choices":[{"delta":{"content":%s},"finish_reason":"stop"}]}'
    body = f"data: {done % json.dumps(said)}\n\ndata: [DONE]\n\n"
    chat.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(content_type="text/event-stream", body=body),
    )
    chat.get_by_label("Message", exact=True).fill(said)
    chat.keyboard.press("Enter")
    chat.wait_for_selector(".message.assistant .acts")
    expect(chat.locator(".message.user .body")).to_have_text(said)
    expect(answer(chat).locator("strong")).to_have_text("bold")
    assert chat.locator(".message img").count() == 0
    assert answer(chat).locator("a").count() == 0
    assert "<img src=x" in answer(chat).inner_text()
    assert chat.title() == "lmkernel"


def test_it_works_over_plain_http_from_another_machine(page: Page, site: str, ask: Any) -> None:
    page.goto(site.replace("127.0.0.1", "elsewhere.test"))
    assert page.evaluate("isSecureContext") is False
    page.wait_for_selector("#model option", state="attached")
    page.get_by_role("button", name="Parameters").click()
    page.get_by_label("Maximum tokens").fill("4")
    ask(page)
    page.locator(".message.assistant").get_by_role("button", name="Copy").click()
    expect(page.locator("#status")).to_have_text("Copied")


def test_reasoning_is_folded_beside_the_answer(chat: Page) -> None:
    deltas = [{"reasoning_content": "first *this*"}, {"content": "then that"}]
    chunks = [{"choices": [{"delta": delta, "finish_reason": None}]} for delta in deltas]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    chat.route(
        "**/v1/chat/completions",
        lambda route: route.fulfill(content_type="text/event-stream", body=body),
    )
    chat.get_by_label("Message", exact=True).fill("why?")
    chat.keyboard.press("Enter")
    expect(answer(chat)).to_have_text("then that")
    expect(chat.get_by_text("first this")).to_be_hidden()
    chat.locator(".assistant summary").click()
    expect(chat.get_by_text("first this")).to_be_visible()


def test_what_the_browser_cannot_keep_is_told(chat: Page) -> None:
    chat.evaluate(
        "() => { IDBObjectStore.prototype.put = () => { throw new DOMException('full'); }; }"
    )
    chat.get_by_label("Message", exact=True).fill("the cat?")
    chat.keyboard.press("Enter")
    expect(chat.get_by_role("alert")).to_contain_text(
        "The browser could not keep this conversation"
    )
    expect(chat.get_by_text("12 tokens")).to_be_visible()
