"""Tokens, alternatives, attention and the layers' answers are on the screen as in the library."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from lmkernel.language_model import LanguageModel

AT = 5


@pytest.fixture(name="token")
def token_fixture(chat: Page, ask: Any) -> Page:
    """The page with the sixth token of an answer open."""
    ask(chat)
    chat.get_by_role("button", name="Show tokens").click()
    chat.locator(".token").nth(AT).click()
    return chat


def read(model: LanguageModel) -> tuple[list[int], list[int]]:
    """What was read before the token, and the answer."""
    messages = [{"role": "user", "content": "the cat?"}]
    prompt = model.tokenizer.encode(model.tokenizer.chat(messages), special_tokens=False)
    answer = list(model.chat("the cat?", max_new_tokens=12).tokens)
    return [*prompt, *answer[:AT]], answer


def probabilities(logits: Any) -> Any:
    wide = np.exp(np.asarray(logits, np.float64) - np.max(logits, -1, keepdims=True))
    return wide / wide.sum(-1, keepdims=True)


def test_a_token_says_how_likely_it_was(token: Page, model: LanguageModel) -> None:
    before, answer = read(model)
    expected = probabilities(model.logits(before)[-1])[answer[AT]]
    said = token.locator(".token").nth(AT).get_attribute("aria-label") or ""
    assert float(said.rpartition(", ")[2].removesuffix(" %")) == pytest.approx(
        100 * expected, abs=0.06
    )
    panel = token.get_by_role("complementary", name=re.compile("^Token "))
    expect(panel.get_by_text(str(answer[AT]), exact=True)).to_be_visible()


def test_alternatives_are_the_likeliest_tokens(token: Page, model: LanguageModel) -> None:
    before, _ = read(model)
    best = np.sort(probabilities(model.logits(before)[-1]))[::-1][:5]
    shown = [text.removesuffix(" %") for text in token.locator(".bars .value").all_inner_texts()]
    assert [float(text) for text in shown] == pytest.approx((100 * best).tolist(), abs=0.06)


def test_the_model_goes_on_from_an_alternative(
    token: Page, answers: Any, model: LanguageModel
) -> None:
    before, answer = read(model)
    other = int(np.argsort(-model.logits(before)[-1], kind="stable")[1])
    token.get_by_role("button", name="Continue with").first.click()
    expect(token.get_by_text("2 / 2")).to_be_visible()
    expected = [*answer[:AT], other, *model.generate([*before, other], max_new_tokens=12).tokens]
    expect(token.locator(".token")).to_have_count(len(expected))
    assert [one["id"] for one in answers(token)[-1]["tokens"]] == expected


def weights(page: Page) -> list[float]:
    spans = page.locator("[data-weight]").all()
    return [float(one.get_attribute("data-weight") or "") for one in spans]


def test_attention_is_the_librarys(token: Page, model: LanguageModel) -> None:
    before, _ = read(model)
    expected = model.attention_weights(before)[:, :, -1].astype(np.float64)
    token.get_by_role("tab", name="Attention").click()
    token.wait_for_selector(".map span")
    assert weights(token) == pytest.approx(expected[-1].mean(0).tolist(), abs=1e-12)
    token.get_by_label("Head").select_option(label="3")
    assert weights(token) == expected[-1][2].tolist()
    token.get_by_label("Layer").fill("1")
    token.wait_for_function("document.querySelector('.controls output').textContent === '1'")
    expect(token.locator(".map").locator("..")).to_have_attribute("aria-busy", "false")
    token.wait_for_function(
        "(first) => Number(document.querySelector('.map span').dataset.weight) === first",
        arg=expected[0][2].tolist()[0],
    )
    assert weights(token) == expected[0][2].tolist()


def test_each_layers_answer_is_its_norm_and_head(token: Page, model: LanguageModel) -> None:
    before, answer = read(model)
    states = model.hidden_states(before)[:, -1].astype(np.float64)
    tensors = model.files.tensors
    table = tensors.read("model.embed_tokens.weight", "float32").astype(np.float64)
    scale = tensors.read("model.norm.weight", "float32").astype(np.float64)
    states[:-1] *= scale / np.sqrt((states[:-1] ** 2).mean(-1, keepdims=True) + 1e-5)
    logits = states @ table.T
    token.get_by_role("tab", name="Layers").click()
    rows = token.locator(".lens tbody tr")
    expect(rows).to_have_count(3)
    ranks = [int(one.replace(",", "")) for one in token.locator(".rank").all_inner_texts()]
    expected = (logits > logits[:, answer[AT], None]).sum(-1) + 1
    assert ranks == expected[::-1].tolist()
    own = [one.inner_text() for one in token.locator(".lens tbody tr:first-child td.own").all()]
    assert len(own) == 1
    assert own[0] in token.locator("#panel-title").inner_text()


def test_a_view_that_fails_says_why(token: Page, problems: list[str]) -> None:
    refused = {"error": {"message": "expected attention of kind 'multi_head', got 'latent'"}}
    token.route("**/lmkernel/attention", lambda route: route.fulfill(status=400, json=refused))
    token.get_by_role("tab", name="Attention").click()
    said = "Expected attention of kind 'multi_head', got 'latent'."
    expect(token.get_by_text(said)).to_be_visible()
    problems.clear()
