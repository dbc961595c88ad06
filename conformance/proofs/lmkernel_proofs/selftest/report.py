"""What the self-test found: of every mutant, and whether the suite is as strong as it says.

Constraint: whatever is not as it should be is a problem, in a line of its own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel_conformance.cases import LEVELS
from lmkernel_proofs.mechanical.equivalents import unmatched

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_proofs.mechanical.equivalents import Equivalent
    from lmkernel_proofs.mechanical.sites import Change
    from lmkernel_proofs.selftest.handwritten import Judged
    from lmkernel_proofs.selftest.verdict import Verdict

__all__ = ["LEAST_HANDWRITTEN", "LEAST_MECHANICAL", "Report"]

LEAST_HANDWRITTEN, LEAST_MECHANICAL = 80, 300


@final
@dataclass(frozen=True)
class Report:
    """The outcome of a self-test.

    Args:
        handwritten: every handwritten mutant, judged.
        mechanical: every mechanical mutant with its verdict.
        equivalents: those that are known to compute the same, by id.
        full: whether slow cases ran as well.
        seconds: of the processor, in all.
        elapsed: by the clock.
    """

    handwritten: tuple[Judged, ...]
    mechanical: tuple[tuple[Change, Verdict], ...]
    equivalents: Mapping[str, Equivalent]
    full: bool
    seconds: float
    elapsed: float

    @property
    def passed(self) -> bool:
        """Whether every mutant was killed or is proved to be none."""
        return not self.problems

    def state(self, verdict: Verdict) -> str:
        """``"equivalent"`` where that is known, else what became of it."""
        alive = verdict.state in ("survived", "unreached")
        return "equivalent" if alive and verdict.id in self.equivalents else verdict.state

    def states(self) -> Counter[str]:
        """How many mechanical mutants there are in each state."""
        return Counter(self.state(verdict) for _, verdict in self.mechanical)

    @property
    def problems(self) -> list[str]:
        """All that is wrong, a line each."""
        return [*self._few(), *self._survivors(), *self._untrue()]

    def _few(self) -> list[str]:
        written = sum(judged.verdict.state == "killed" for judged in self.handwritten)
        made = self.states()["killed"]
        return [
            f"expected {least} {kind} mutants killed at least, got {got}"
            for kind, least, got in (
                ("handwritten", LEAST_HANDWRITTEN, written),
                ("mechanical", LEAST_MECHANICAL, made),
            )
            if got < least
        ]

    def _survivors(self) -> list[str]:
        found = [
            f"{judged.mutant.id} survives the level {judged.mutant.level}"
            for judged in self.handwritten
            if judged.verdict.state != "killed"
        ]
        found += [
            f"{judged.mutant.id}: {complaint}"
            for judged in self.handwritten
            for complaint in judged.complaints
        ]
        return found + [
            f"{change.id} is {self.state(verdict)}: {change.text}"
            for change, verdict in self.mechanical
            if self.state(verdict) in ("survived", "unreached")
        ]

    def _untrue(self) -> list[str]:
        """Equivalents that are none."""
        listed = unmatched(self.equivalents.values(), [change for change, _ in self.mechanical])
        return listed + [
            f"{verdict.id} is listed as equivalent, but is {verdict.state}: {verdict.message}"
            for _, verdict in self.mechanical
            if verdict.id in self.equivalents and verdict.state in ("killed", "stillborn")
        ]

    @property
    def text(self) -> str:
        """A summary to read."""
        states = self.states()
        written = Counter(judged.verdict.state for judged in self.handwritten)
        lines = [
            f"handwritten: {len(self.handwritten)} mutants, {_counted(written)}",
            f"mechanical:  {len(self.mechanical)} mutants, {_counted(states)}",
            *self._levels(),
            f"{self.seconds:.0f} seconds of the processor in {self.elapsed:.0f} seconds",
            *(f"problem: {line}" for line in self.problems),
            "every mutant is killed or proved equivalent"
            if self.passed
            else "the suite is not as strong as it says",
        ]
        return "\n".join(lines)

    def _levels(self) -> list[str]:
        """How many each level kills."""
        by_hand = Counter(j.verdict.by.level for j in self.handwritten if j.verdict.by)
        made = Counter(v.by.level for _, v in self.mechanical if v.by)
        return [f"  {level}: {by_hand[level]} and {made[level]}" for level in LEVELS]

    @property
    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "format": 1,
            "passed": self.passed,
            "full": self.full,
            "seconds": round(self.seconds, 1),
            "elapsed": round(self.elapsed, 1),
            "problems": self.problems,
            "handwritten": [self._judged(judged) for judged in self.handwritten],
            "mechanical": [self._changed(*pair) for pair in self.mechanical],
        }

    @staticmethod
    def _judged(judged: Judged) -> dict[str, Any]:
        mutant = judged.mutant
        about = {"level": mutant.level, "row": mutant.row, "seen": mutant.seen}
        failed = sorted({failure.run.case for failure in judged.failures})
        return {**_told(judged.verdict, judged.verdict.state), **about, "failed": failed}

    def _changed(self, change: Change, verdict: Verdict) -> dict[str, Any]:
        found = {**_told(verdict, self.state(verdict)), "change": change.text}
        if verdict.id in self.equivalents:
            found["proof"] = self.equivalents[verdict.id].proof
        return found


def _told(verdict: Verdict, state: str) -> dict[str, Any]:
    return {
        "id": verdict.id,
        "state": state,
        "by": None if verdict.by is None else str(verdict.by),
        "message": verdict.message,
        "ran": verdict.ran,
        "seconds": round(verdict.seconds, 2),
    }


def _counted(states: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
