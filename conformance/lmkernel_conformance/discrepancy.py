"""The error that a case raises when a backend disagrees: expected, got, where, and by how much."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmkernel_conformance.budget import Measurement

__all__ = ["Discrepancy", "demand"]


class Discrepancy(AssertionError):  # noqa: N818 - it is a finding, which the suite reports by this word
    """A backend's result is not what the contract says; the message is one readable line.

    It is an `AssertionError`, so that pytest reports it as a failed case and not as a broken suite.

    Args:
        message: what was expected, what came, and where.
        measurement: the error at the worst element, if the result was judged by a budget.
    """

    def __init__(self, message: str, measurement: Measurement | None = None) -> None:
        super().__init__(message)
        self.measurement = measurement


def demand(what: str, *, expected: object, got: object) -> None:
    """Raise `Discrepancy` unless two Python values are equal.

    Args:
        what: the name of what is compared, for the message.
        expected: the value that the contract asks for.
        got: the value that the backend gave.
    """
    if expected != got:
        raise Discrepancy(f"{what}: expected {expected!r}, got {got!r}")
