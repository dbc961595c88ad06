"""Fresh inputs tell what was memorised from what is honest, whatever was drawn."""

from __future__ import annotations

import pytest

from lmkernel_conformance.certification import _within


@pytest.mark.parametrize(
    ("share", "margin", "excused"),
    [
        (1.5, 4.0, True),  # honest rounding at an unlucky input
        (5.0, 4.0, False),
        (None, 4.0, False),  # NaN, or no bound
        (0.3, 4.0, False),  # what failed was no error of a number
        (1.5, 1.0, False),
    ],
)
def test_margin(share: float | None, margin: float, excused: bool) -> None:
    assert _within({"outcome": "failed", "share": share}, margin) == excused
