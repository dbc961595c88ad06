"""Level determinism: each case in each dtype is one test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmkernel_conformance.cases import Item
    from lmkernel_conformance.subject import Subject

LEVEL = "determinism"


def test_determinism(conformance_item: Item, subject: Subject) -> None:
    """The case raises `Discrepancy` where the backend is wrong."""
    conformance_item.case.run(subject)
