"""Several models: one is chosen, asked, and still chosen when the page is opened again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lmkernel_serve.served import Served
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page


@pytest.fixture(name="both")
def both_fixture(tiny: Any, serving: Any, tmp_path: Path) -> Iterator[str]:
    models = [Served("one", tiny(tmp_path / "one"))]
    models.append(Served("two", tiny(tmp_path / "two", num_hidden_layers=3)))
    models.append(Served("vectors", tiny(tmp_path / "vectors"), embeds_only=True))
    with serving(*models) as address:
        yield address


def test_a_model_is_picked(page: Page, both: str, ask: Any) -> None:
    page.goto(both)
    picker = page.get_by_label("Model", exact=True)
    expect(picker).to_have_value("one")
    assert picker.locator("option").all_inner_texts() == ["one", "two"]
    expect(page.get_by_text("numpy · cpu · float32")).to_be_visible()
    picker.select_option("two")
    page.get_by_role("button", name="Parameters").click()
    page.get_by_label("Maximum tokens").fill("3")
    with page.expect_request("**/v1/chat/completions") as caught:
        ask(page)
    assert caught.value.post_data_json["model"] == "two"
    page.reload()
    expect(picker).to_have_value("two")


def test_a_layer_that_another_model_has_not_is_not_asked_of_it(
    page: Page, both: str, ask: Any
) -> None:
    page.goto(both)
    page.get_by_role("button", name="Show tokens").click()
    page.get_by_role("button", name="Parameters").click()
    page.get_by_label("Maximum tokens").fill("3")
    for model, layers in (("two", "3"), ("one", "2")):
        page.get_by_label("Model", exact=True).select_option(model)
        ask(page)
        page.locator(".message.assistant").last.locator(".token").last.click()
        page.get_by_role("tab", name="Attention").click()
        expect(page.get_by_label("Layer", exact=False)).to_have_attribute("max", layers)
        expect(page.get_by_label("Layer", exact=False)).to_have_value(layers)
