"""What the self-test found out about every mutant, and whether the suite is as strong as it says.

Constraint: everything that is wrong is a problem with a line of its own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel_conformance.cases import LEVELS
from lmkernel_proofs.mechanical.equivalents import unmatched_entries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_proofs.mechanical.equivalents import Equivalent
    from lmkernel_proofs.mechanical.sites import Change
    from lmkernel_proofs.selftest.handwritten import Judgement
    from lmkernel_proofs.selftest.verdict import Verdict

__all__ = ["Report"]

LEAST_HANDWRITTEN, LEAST_MECHANICAL = 80, 300
"""Kills without which a self-test fails, so that an empty list of mutants cannot pass."""


@final
@dataclass(frozen=True)
class Report:
    """The outcome of a self-test.

    Args:
        handwritten: judgements of handwritten mutants.
        mechanical: mechanical mutants with their verdicts.
        equivalents: mutants that are proved to compute the same, by id.
        full: whether slow cases ran as well.
        seconds: processor time of all processes.
        elapsed: seconds by the clock.
        every: how far apart the mutants are that were judged: 1 for all.
        mutants: the kind of mutants that was judged, or ``"all"``.
    """

    handwritten: tuple[Judgement, ...]
    mechanical: tuple[tuple[Change, Verdict], ...]
    equivalents: Mapping[str, Equivalent]
    full: bool
    seconds: float
    elapsed: float
    every: int = 1
    mutants: str = "all"

    @property
    def is_strong(self) -> bool:
        """Whether every mutant is killed or proved equivalent, and nothing else is wrong."""
        return not self.problems

    def state(self, verdict: Verdict) -> str:
        """``"equivalent"`` for a survivor with a proof, else the state of the verdict."""
        alive = verdict.state in ("survived", "unreached")
        return "equivalent" if alive and verdict.id in self.equivalents else verdict.state

    def states(self) -> Counter[str]:
        """The number of mechanical mutants in each state."""
        return Counter(self.state(verdict) for _, verdict in self.mechanical)

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong, a line each."""
        return [*self._few(), *self._survivors(), *self._false_equivalents()]

    def _few(self) -> list[str]:
        written = sum(judgement.verdict.state == "killed" for judgement in self.handwritten)
        made = self.states()["killed"]
        return [
            f"expected {least} {kind} mutants killed at least, got {got}"
            for kind, least, got in (
                ("handwritten", LEAST_HANDWRITTEN // self.every, written),
                ("mechanical", LEAST_MECHANICAL // self.every, made),
            )
            if got < least and self.mutants in (kind, "all")
        ]

    def _survivors(self) -> list[str]:
        found = [
            f"{judgement.mutant.id} survives the level {judgement.mutant.level}"
            for judgement in self.handwritten
            if judgement.verdict.state != "killed"
        ]
        found += [
            f"{judgement.mutant.id}: {complaint}"
            for judgement in self.handwritten
            for complaint in judgement.complaints
        ]
        return found + [
            f"{change.id} is {self.state(verdict)}: {change.text}"
            for change, verdict in self.mechanical
            if self.state(verdict) in ("survived", "unreached")
        ]

    def _false_equivalents(self) -> list[str]:
        """Entries of the list of equivalents that fit no mutant, or one that was killed."""
        listed = unmatched_entries(
            self.equivalents.values(), [change for change, _ in self.mechanical]
        )
        return listed + [
            f"{verdict.id} is listed as equivalent, but is {verdict.state}: {verdict.message}"
            for _, verdict in self.mechanical
            if verdict.id in self.equivalents and verdict.state in ("killed", "stillborn")
        ]

    @property
    def text(self) -> str:
        """A summary for the terminal."""
        states = self.states()
        written = Counter(judgement.verdict.state for judgement in self.handwritten)
        lines = [
            f"handwritten: {len(self.handwritten)} mutants{self._share}, {_count_states(written)}",
            f"mechanical:  {len(self.mechanical)} mutants{self._share}, {_count_states(states)}",
            *self._levels(),
            f"{self.seconds:.0f} seconds of the processor in {self.elapsed:.0f} seconds",
            *(f"problem: {line}" for line in self.problems),
            f"every {self._kind}mutant is killed or proved equivalent"
            if self.is_strong
            else "the suite is not as strong as it says",
        ]
        return "\n".join(lines)

    @property
    def _kind(self) -> str:
        return "" if self.mutants == "all" else f"{self.mutants} "

    @property
    def _share(self) -> str:
        return "" if self.every == 1 else f" (one in {self.every})"

    def _levels(self) -> list[str]:
        """The kills of each level."""
        by_hand = Counter(j.verdict.by.level for j in self.handwritten if j.verdict.by)
        made = Counter(v.by.level for _, v in self.mechanical if v.by)
        return [f"  {level}: {by_hand[level]} and {made[level]}" for level in LEVELS]

    @property
    def as_dict(self) -> dict[str, Any]:
        """The whole report, ready for JSON."""
        return {
            "format": 1,
            "passed": self.is_strong,
            "full": self.full,
            "every": self.every,
            "mutants": self.mutants,
            "seconds": round(self.seconds, 1),
            "elapsed": round(self.elapsed, 1),
            "problems": self.problems,
            "handwritten": [self._handwritten_record(judgement) for judgement in self.handwritten],
            "mechanical": [self._mechanical_record(*pair) for pair in self.mechanical],
        }

    @staticmethod
    def _handwritten_record(judgement: Judgement) -> dict[str, Any]:
        mutant = judgement.mutant
        about = {"level": mutant.level, "row": mutant.row, "seen": mutant.seen}
        failed = sorted({failure.run.case for failure in judgement.failures})
        return {
            **_verdict_record(judgement.verdict, judgement.verdict.state),
            **about,
            "failed": failed,
        }

    def _mechanical_record(self, change: Change, verdict: Verdict) -> dict[str, Any]:
        found = {**_verdict_record(verdict, self.state(verdict)), "change": change.text}
        if verdict.id in self.equivalents:
            found["proof"] = self.equivalents[verdict.id].proof
        return found


def _verdict_record(verdict: Verdict, state: str) -> dict[str, Any]:
    return {
        "id": verdict.id,
        "state": state,
        "by": None if verdict.by is None else str(verdict.by),
        "message": verdict.message,
        "ran": verdict.ran,
        "seconds": round(verdict.seconds, 2),
    }


def _count_states(states: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
