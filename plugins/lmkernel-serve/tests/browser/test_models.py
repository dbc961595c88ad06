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
    models = [Served(name, tiny(tmp_path / name)) for name in ("one", "two")]
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
