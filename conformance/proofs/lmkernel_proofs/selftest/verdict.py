"""What the suite made of a mutant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from lmkernel_proofs.selftest.bases import Run

__all__ = ["Verdict"]


@final
@dataclass(frozen=True)
class Verdict:
    """What the suite made of one mutant.

    ``"killed"`` needs a discrepancy: a wrong number that the suite noticed. A mutant that only
    crashes is ``"stillborn"`` and counts for nothing, since nobody needs a suite to notice a crash.
    One that no case runs is ``"unreached"``, as much a gap in the suite as ``"survived"``.

    Args:
        id: name of the mutant.
        state: one of ``"killed"``, ``"stillborn"``, ``"unreached"`` and ``"survived"``.
        by: run that killed it, at the lowest level that saw it.
        message: discrepancy that killed it, or the first error of a stillborn mutant.
        ran: number of runs that it went through.
        seconds: processor time that judging it took.
    """

    id: str
    state: str
    by: Run | None = None
    message: str = ""
    ran: int = 0
    seconds: float = 0.0
