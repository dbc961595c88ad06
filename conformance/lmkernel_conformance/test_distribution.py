"""Level distribution: each case is one test, on backends that have a tier of distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmkernel_conformance.cases import Item
    from lmkernel_conformance.subject import Subject

LEVEL = "distribution"


def test_distribution(conformance_item: Item, subject: Subject) -> None:
    """The case raises `Discrepancy` where the backend is wrong."""
    conformance_item.case.run(subject)
