"""The state of each case: passed, excused in one of three ways, or one that is not accepted.

Constraints: a certificate accepts passed, unsupported, known failure and not offered, and no
others; there is no skip. For attention, gradients, random numbers and checkpoints it accepts one:
passed. What a backend without a tier of distribution is not asked is not offered, by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel_conformance.certificate.known_failures import KnownFailure
    from lmkernel_conformance.manifest import Key, Manifest

__all__ = ["GOOD", "INDISPENSABLE", "NOT_OFFERED", "Judge", "row_not_offered"]

NOT_OFFERED = "not offered"
GOOD = ("passed", "unsupported", "known failure", NOT_OFFERED)
"""The states that a certificate accepts; the others are failed, crashed and hung."""
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
"""Operations that cannot be declared unsupported in a profile that has a case of theirs."""
_ESSENTIAL = "attention, gradients, random numbers and checkpoints are never excused"

Row = dict[str, Any]


def row_not_offered(key: Key, backend: str) -> Row:
    """The row of a case of the level of several processes, for a backend that has no such tier."""
    message = f"backend {backend!r} has no tier of distribution"
    about = {"case": key.case, "level": key.case.partition("/")[0], "dtype": key.dtype}
    return {**about, **_NOTHING, "shares": {}, "state": NOT_OFFERED, "message": message}


_NOTHING = MappingProxyType({"share": 0.0, "ulps": 0.0})


@final
@dataclass(frozen=True, kw_only=True)
class Judge:
    """Turns each answer of a worker into a row of the certificate.

    Args:
        manifest: the manifest, which says what is essential.
        unsupported: the operations that the backend's spec declares unsupported, with reasons.
        known: the backend's known failures.
        today: the day of the run, in ISO 8601.
    """

    manifest: Manifest
    unsupported: Mapping[str, str]
    known: Sequence[KnownFailure]
    today: str

    def row(self, answer: Mapping[str, Any]) -> Row:
        """The row of one case: its state, its shares of the budget, and why it failed."""
        case, dtype = answer["case"], answer["dtype"]
        row: Row = {"case": case, "level": case.partition("/")[0], "dtype": dtype}
        row |= {name: answer.get(name, 0.0) for name in ("share", "ulps")}
        row["shares"] = answer.get("shares", {})
        for entry in self.known:
            if entry.matches(case, dtype):
                return row | self._state_of_known_failure(entry, answer)
        return row | self._state_of_unlisted_case(answer)

    def _state_of_unlisted_case(self, answer: Mapping[str, Any]) -> Row:
        outcome, refused = answer["outcome"], answer.get("refused")
        if outcome == "passed":
            return {"state": "passed"}
        if refused not in self.unsupported or outcome != "failed":
            return {"state": outcome, "message": answer["message"]}
        if refused in INDISPENSABLE:
            why = f"{refused} cannot be declared unsupported in a profile that needs it"
            return {"state": "failed", "message": why}
        return {"state": "unsupported", "operation": refused, "message": answer["message"]}

    def _state_of_known_failure(self, entry: KnownFailure, answer: Mapping[str, Any]) -> Row:
        excuse = self._why_no_excuse(entry, answer)
        if excuse:
            return {"state": "failed", "message": excuse}
        return {"state": "known failure", "message": answer["message"]}

    def _why_no_excuse(self, entry: KnownFailure, answer: Mapping[str, Any]) -> str:
        """Why an entry does not excuse the outcome; empty if it does."""
        if answer["outcome"] == "passed":
            return "listed as a known failure, but it passes: remove the entry"
        if self.manifest.essential(entry.case):
            return f"listed as a known failure, but {_ESSENTIAL}: {answer['message']}"
        if entry.has_expired(self.today):
            return f"its known failure expired on {entry.expires}: {answer['message']}"
        if answer["exception"] != entry.exception:
            came = f"{answer['exception']}: {answer['message']}"
            return f"its known failure is {entry.exception}, got {came}"
        return ""
