"""Fresh inputs: memorised answers fail, honest rounding at an unlucky draw does not."""

from __future__ import annotations

import pytest

from lmkernel_conformance.certificate.certification import _within


@pytest.mark.parametrize(
    ("share", "excused"),
    [
        (1.5, True),  # honest rounding at an unlucky input
        (5.0, False),
        (None, False),  # NaN, or no bound
        (0.3, False),  # what failed was no error of a number
    ],
)
def test_margin(share: float | None, excused: bool) -> None:
    assert _within({"outcome": "failed", "share": share}) == excused
