"""What a case raises when a backend disagrees: expected, got, where, and by how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmkernel_conformance.budget import Measured

__all__ = ["Discrepancy", "demand"]


class Discrepancy(AssertionError):  # noqa: N818 - it is a finding, which the suite reports by this word
    """A backend's result that is not what the contract says; the message is one readable line.

    Args:
        message: expected, got, where.
        measured: the error at its worst element, where there is a budget.
    """

    def __init__(self, message: str, measured: Measured | None = None) -> None:
        super().__init__(message)
        self.measured = measured


def demand(what: str, *, expected: object, got: object) -> None:
    """Raise `Discrepancy` unless both are equal.

    Args:
        what: names what was compared.
        expected: what the contract says.
        got: what the backend gave.
    """
    if expected != got:
        raise Discrepancy(f"{what}: expected {expected!r}, got {got!r}")
