"""A headless Chromium in front of a small model, whose steps a test can hold back."""

from __future__ import annotations

import os
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest
from lmkernel_serve.served import Served
from playwright.sync_api import expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

_NAMES = ("chromium", "chromium-browser", "google-chrome")


class Gate:
    """Lets a model step as often as it is told; at first without end."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self._open = threading.Event()
        self._open.set()
        self._tokens = threading.Semaphore(0)
        step = served.worker._step
        served.worker._step = lambda: (self._wait(), step())  # type: ignore[method-assign,assignment]  # the test's own valve

    def _wait(self) -> None:
        while not self._open.is_set():
            if self._tokens.acquire(timeout=0.01):
                return

    def close(self, steps: int) -> None:
        """No more than so many steps from now on."""
        while self._tokens.acquire(blocking=False):
            pass
        self._open.clear()
        self._tokens.release(steps)

    def open(self) -> None:
        self._open.set()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser; LMKERNEL_CHROMIUM names another than the system's."""
    found = os.environ.get("LMKERNEL_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), "")
    assert found, f"these tests need one of {', '.join(_NAMES)} on the path, or LMKERNEL_CHROMIUM"
    expect.set_options(timeout=15_000)
    with sync_playwright() as playwright:
        # a name that is no loopback's, as a server on another machine would have
        options = ["--host-resolver-rules=MAP elsewhere.test 127.0.0.1"]
        options += ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=found, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory, tiny: Any) -> Gate:
    own = tiny(tmp_path_factory.mktemp("browser") / "tiny")
    return Gate(Served("tiny", own, most_rows=1, most_waiting=0))


@pytest.fixture(scope="session")
def site(gate: Gate, serving: Any) -> Iterator[str]:
    """The address of the page."""
    with serving(gate.served) as address:
        yield address


class Problems(list[str]):
    """What the browser complains of while a test runs; one that means to provoke some clears it."""


@pytest.fixture
def problems() -> Problems:
    return Problems()


@pytest.fixture
def page(chromium: Browser, problems: Problems, gate: Gate) -> Iterator[Page]:
    """A new browser, with nothing kept, on a wide screen."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en")
    found = context.new_page()
    found.set_default_timeout(15_000)
    found.on("pageerror", lambda error: problems.append(str(error)))
    bad = {"error", "warning"}
    found.on("console", lambda m: problems.append(m.text) if m.type in bad else None)
    yield found
    gate.open()
    context.close()
    assert problems == []


@pytest.fixture
def chat(page: Page, site: str) -> Page:
    """The page, ready, with short answers of one seed."""
    page.add_init_script(
        "localStorage.setItem('lmkernel.settings',"
        " JSON.stringify({temperature: 0, seed: '7', max_tokens: '12'}))"
    )
    page.goto(site)
    page.wait_for_selector("#model option", state="attached")
    return page


KEPT = """() => new Promise((resolve) => {
  const opened = indexedDB.open("lmkernel", 1);
  opened.onsuccess = () => {
    const all = opened.result.transaction("conversations").objectStore("conversations").getAll();
    all.onsuccess = () => resolve(all.result[0]);
  };
})"""


@pytest.fixture
def answers() -> Any:
    """The answers that the browser keeps of a conversation, in the order of their making."""

    def found(page: Page) -> list[Any]:
        nodes = page.evaluate(KEPT)["nodes"].values()
        return [node for node in nodes if node["role"] == "assistant"]

    return found


@pytest.fixture
def ask() -> Any:
    """Asks, and waits for the answer's end."""

    def asked(page: Page, text: str = "the cat?") -> None:
        page.get_by_label("Message", exact=True).fill(text)
        page.keyboard.press("Enter")
        page.wait_for_selector(".message.assistant:last-child .acts")

    return asked


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where pictures go: LMKERNEL_SHOTS, to look at them."""
    from pathlib import Path

    return Path(os.environ.get("LMKERNEL_SHOTS", tmp_path))
