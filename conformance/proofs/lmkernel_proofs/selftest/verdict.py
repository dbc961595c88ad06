"""What became of a mutant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from lmkernel_proofs.selftest.bases import Run

__all__ = ["Verdict"]


@final
@dataclass(frozen=True)
class Verdict:
    """What became of one mutant.

    Args:
        id: of the mutant.
        state: ``"killed"``, ``"stillborn"`` (nothing but errors that are no discrepancy),
            ``"unreached"`` or ``"survived"``.
        by: what killed it, at the lowest level that saw it.
        message: what that said, or the first error of one stillborn.
        ran: how many runs it went through.
        seconds: of the processor.
    """

    id: str
    state: str
    by: Run | None = None
    message: str = ""
    ran: int = 0
    seconds: float = 0.0
