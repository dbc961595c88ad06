"""What became of each case: passed, unsupported, known failure, or not.

Constraints: these three states are all that a certificate accepts, and there is no skip.
Attention, gradients, random numbers and checkpoints have one: passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel_conformance.certificate.known import KnownFailure
    from lmkernel_conformance.manifest import Manifest

__all__ = ["GOOD", "INDISPENSABLE", "Judge"]

GOOD = ("passed", "unsupported", "known failure")
"""States that a certificate accepts; the others are failed, crashed and hung."""
INDISPENSABLE = frozenset(
    {
        "asarray",
        "attention",
        "cache_append",
        "cache_attend",
        "cache_create",
        "cache_grow",
        "cache_update",
        "dropout",
        "random_uniform",
        "remat",
        "stop_gradient",
        "to_numpy",
        "value_and_grad",
    }
)
"""Operations that a profile with a case of theirs cannot do without."""
_ESSENTIAL = "attention, gradients, random numbers and checkpoints are never excused"

Row = dict[str, Any]


@final
@dataclass(frozen=True, kw_only=True)
class Judge:
    """Makes a row of the certificate of each answer of a worker.

    Args:
        manifest: says what is essential.
        unsupported: what the backend's spec declares, with reasons.
        known: the backend's known failures.
        today: the day of the run, as in ISO 8601.
    """

    manifest: Manifest
    unsupported: Mapping[str, str]
    known: Sequence[KnownFailure]
    today: str

    def row(self, answer: Mapping[str, Any]) -> Row:
        """The state of one case, with what it used of its budget and why it failed."""
        case, dtype = answer["case"], answer["dtype"]
        row: Row = {"case": case, "level": case.partition("/")[0], "dtype": dtype}
        row |= {name: answer.get(name, 0.0) for name in ("share", "ulps")}
        for entry in self.known:
            if entry.matches(case, dtype):
                return row | self._known(entry, answer)
        return row | self._unlisted(answer)

    def _unlisted(self, answer: Mapping[str, Any]) -> Row:
        outcome, refused = answer["outcome"], answer.get("refused")
        if outcome == "passed":
            return {"state": "passed"}
        if refused not in self.unsupported or outcome != "failed":
            return {"state": outcome, "message": answer["message"]}
        if refused in INDISPENSABLE:
            why = f"{refused} cannot be declared unsupported in a profile that needs it"
            return {"state": "failed", "message": why}
        return {"state": "unsupported", "operation": refused, "message": answer["message"]}

    def _known(self, entry: KnownFailure, answer: Mapping[str, Any]) -> Row:
        excuse = self._refused(entry, answer)
        if excuse:
            return {"state": "failed", "message": excuse}
        return {"state": "known failure", "message": answer["message"]}

    def _refused(self, entry: KnownFailure, answer: Mapping[str, Any]) -> str:
        """Why an entry does not excuse what happened; empty if it does."""
        if answer["outcome"] == "passed":
            return "listed as a known failure, but it passes: remove the entry"
        if self.manifest.essential(entry.case):
            return f"listed as a known failure, but {_ESSENTIAL}: {answer['message']}"
        if entry.expired(self.today):
            return f"its known failure expired on {entry.expires}: {answer['message']}"
        if answer["exception"] != entry.exception:
            came = f"{answer['exception']}: {answer['message']}"
            return f"its known failure is {entry.exception}, got {came}"
        return ""
