"""The page of a certificate fits the screen of a telephone: its tables scroll, and not the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lmkernel_conformance.certificate.page import page as made_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LONG = "operations/design." + "along" * 20
SHARES = {"shares": {"large": 0.1, "small": 0.2, "sensitive": 0.3}, "share": 0.3, "ulps": 9.5}
ABOUT = {"level": "operations", "dtype": "float32", **SHARES}
CERTIFICATE: dict[str, Any] = {
    "backend": {
        "name": "a_long_name_" * 8,
        "distributions": {"framework": "1.0" + ".0" * 40},
        "device": "cpu",
        "dtypes": ["float32", "float64"],
        "bitwise": [],
        "unsupported": {},
    },
    "verdict": "not certified",
    "profile": "full",
    "selection": "whole",
    "issued": "2026-01-01",
    "precision": "the framework's default settings",
    "suite": "1.0",
    "contract": "1.2",
    "fresh": {"cases": 0, "seed": 1, "failures": []},
    "manifest": "a" * 64,
    "sha256": "b" * 64,
    "next": "what to write next: " + "exp" * 60,
    "reasons": [f"{LONG}[float32]: expected {'1' * 99}", f"a worker ended: {'x' * 99}"],
    "cases": [
        {"case": LONG, "state": "failed", "message": f"expected {'1' * 99}", **ABOUT},
        {"case": "operations/exp", "state": "passed", **ABOUT},
    ],
}


@pytest.mark.parametrize("width", [320, 400, 900])
def test_the_page_does_not_scroll_sideways(chromium: Browser, width: int) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 800})
    found = context.new_page()
    found.set_content(made_page(CERTIFICATE))
    found.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    needed = found.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert needed <= width
