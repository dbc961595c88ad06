"""Dark and light, a phone's width, the keyboard alone, and names for who does not see the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

GROUND = "getComputedStyle(document.body).backgroundColor"
LUMINANCE = """(() => {
  const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const luminance = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map(linear);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (!/(, 0\\)|\\/ 0\\)|transparent)/.test(colour)) return colour;
    }
    return "white";
  };
  const poor = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    const seen = node.checkVisibility({ opacityProperty: true });
    if (!own || !seen || node.closest(":disabled, .token, .map, .bars, .lens")) continue;
    const [a, b] = [luminance(getComputedStyle(node).color), luminance(ground(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push([node.textContent.trim().slice(0, 40), ratio]);
  }
  return poor;
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground(chat: Page, ask: Any, shots: Path, scheme: Any) -> None:
    chat.emulate_media(color_scheme=scheme)
    ask(chat)
    chat.get_by_role("button", name="Parameters").click()
    assert chat.evaluate(LUMINANCE) == []
    chat.screenshot(path=shots / f"parameters-{scheme}.png")


def test_the_system_says_dark_and_a_person_may_say_otherwise(chat: Page) -> None:
    light = chat.evaluate(GROUND)
    chat.emulate_media(color_scheme="dark")
    dark = chat.evaluate(GROUND)
    assert dark != light
    chat.get_by_role("button", name="Colours: as the system").click()
    assert chat.evaluate(GROUND) == light
    chat.reload()
    assert chat.evaluate(GROUND) == light
    chat.get_by_role("button", name="Colours: light").click()
    chat.emulate_media(color_scheme="light")
    assert chat.evaluate(GROUND) == dark


def test_a_phone(chat: Page, ask: Any, shots: Path) -> None:
    chat.set_viewport_size({"width": 360, "height": 740})
    assert chat.evaluate("document.documentElement.scrollWidth") == 360
    ask(chat, "a" * 90)
    assert chat.evaluate("document.documentElement.scrollWidth") == 360
    sidebar = chat.get_by_role("complementary", name="Conversations")
    expect(sidebar).to_be_hidden()
    chat.get_by_role("button", name="Conversations", exact=True).click()
    expect(sidebar).to_be_visible()
    chat.keyboard.press("Escape")
    expect(sidebar).to_be_hidden()
    chat.get_by_role("button", name="Show tokens").click()
    chat.locator(".token").nth(3).click()
    panel = chat.locator("#panel")
    expect(panel).to_be_in_viewport(ratio=0.99)
    assert chat.evaluate("document.documentElement.scrollWidth") == 360
    chat.screenshot(path=shots / "phone.png")


SMALL = """() => [...document.querySelectorAll("button")]
  .filter((node) => node.checkVisibility({ visibilityProperty: true }))
  .filter((node) => Math.min(node.offsetWidth, node.offsetHeight) < 24)
  .map((node) => node.outerHTML.slice(0, 80))"""


def test_what_is_touched_is_large_enough(chat: Page, ask: Any) -> None:
    chat.set_viewport_size({"width": 360, "height": 740})
    ask(chat)
    assert chat.evaluate(SMALL) == []


def test_all_of_it_by_keyboard(chat: Page) -> None:
    chat.keyboard.type("the cat?")  # the field has the focus from the first
    chat.keyboard.press("Enter")
    chat.wait_for_selector(".message.assistant .acts")
    chat.get_by_role("button", name="Show tokens").press("Enter")
    focused(chat, ".token")
    chat.keyboard.press("ArrowRight")
    chat.keyboard.press("ArrowRight")
    assert chat.evaluate("document.activeElement.dataset.at") == "2"
    chat.keyboard.press("Enter")
    expect(chat.get_by_role("tab", name="Alternatives")).to_be_visible()
    assert chat.evaluate("document.activeElement.id") == "panel-title"
    focused(chat, "[role=tab]")
    chat.keyboard.press("ArrowRight")
    expect(chat.get_by_role("tab", name="Attention")).to_have_attribute("aria-selected", "true")
    chat.wait_for_selector(".map span")
    chat.keyboard.press("Escape")
    expect(chat.locator("#panel")).to_be_hidden()
    assert chat.evaluate("document.activeElement.dataset.at") == "2"


def test_the_focus_stays_where_one_works(chat: Page, ask: Any) -> None:
    ask(chat)
    chat.get_by_role("button", name="Ask again").press("Enter")
    expect(chat.get_by_text("2 / 2")).to_be_visible()
    assert chat.evaluate("document.activeElement.id") == "text"
    chat.get_by_role("button", name="The version before").press("Enter")
    expect(chat.get_by_text("1 / 2")).to_be_visible()
    # there is none before the first, so the focus is on the other one
    assert chat.evaluate("document.activeElement.ariaLabel") == "The next version"


def focused(page: Page, selector: str) -> None:
    """Press Tab until an element of this kind has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("(s) => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"Tab does not lead to {selector}")


NAMELESS = """() => {
  const used = "button, input, select, textarea, a, [role=button], [role=tab]";
  const named = (node) =>
    node.getAttribute("aria-label") || node.textContent.trim() || node.labels?.length;
  return [...document.querySelectorAll(used)]
    .filter((node) => node.checkVisibility() && !named(node))
    .map((node) => node.outerHTML.slice(0, 80));
}"""


def test_everything_that_is_used_has_a_name(chat: Page, ask: Any) -> None:
    ask(chat)
    chat.get_by_role("button", name="Show tokens").click()
    assert chat.evaluate(NAMELESS) == []
    chat.get_by_role("button", name="Parameters").click()
    assert chat.evaluate(NAMELESS) == []
    chat.locator(".token").nth(3).click()
    for name in ("Alternatives", "Attention", "Layers"):
        chat.get_by_role("tab", name=name).click()
        expect(chat.locator("#view [aria-busy=true]")).to_have_count(0)
        assert chat.evaluate(NAMELESS) == []


def test_landmarks_and_headings(chat: Page, ask: Any) -> None:
    ask(chat)
    expect(chat.get_by_role("main")).to_have_count(1)
    expect(chat.get_by_role("heading", level=1, name="Chat")).to_have_count(1)
    assert [h.inner_text() for h in chat.locator("#thread h2").all()] == ["You", "Model"]
    expect(chat.get_by_role("list", name="Messages").get_by_role("listitem").first).to_be_visible()
    expect(chat.get_by_role("navigation", name="Conversations")).to_be_visible()
    expect(chat.locator("#status")).to_have_text("The answer is complete")
