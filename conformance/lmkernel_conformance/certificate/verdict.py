"""The verdict on a certificate, from nothing but what it says and the manifest.

Constraint: the same document has the same verdict, always and everywhere; what the document itself
says of its verdict plays no part.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.certificate.known import KnownFailure
from lmkernel_conformance.certificate.states import GOOD, INDISPENSABLE
from lmkernel_conformance.manifest import Key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lmkernel_conformance.manifest import Manifest

__all__ = ["CERTIFIED", "IN_PART", "NOT_CERTIFIED", "WHOLE", "reasons", "verdict"]

CERTIFIED = "certified"
IN_PART = "passed in part"
NOT_CERTIFIED = "not certified"
WHOLE = "whole"


def verdict(document: Mapping[str, Any], manifest: Manifest) -> str:
    """One of `CERTIFIED`, `IN_PART` (only a part was run, all of which passed), `NOT_CERTIFIED`."""
    if reasons(document, manifest):
        return NOT_CERTIFIED
    return CERTIFIED if document["selection"] == WHOLE else IN_PART


def reasons(document: Mapping[str, Any], manifest: Manifest) -> list[str]:
    """Why it is not certified, a line each; none if it is.

    Args:
        document: the certificate; whatever it says of verdict and reasons is not read.
        manifest: the suite's own.
    """
    if document["manifest"] != manifest.hash:
        return [f"expected the manifest {manifest.hash[:12]}, got {document['manifest'][:12]}"]
    found = [*document["problems"], *_coverage(document, manifest), *_fresh(document)]
    for row in document["cases"]:
        found += [f"{row['case']}[{row['dtype']}]: {why}" for why in _row(row, document, manifest)]
    return found


def _coverage(document: Mapping[str, Any], manifest: Manifest) -> Iterator[str]:
    """What is missing, twice there, or unknown."""
    backend = document["backend"]
    there = Counter(Key(row["case"], row["dtype"]) for row in document["cases"])
    required = manifest.required(document["profile"], backend["dtypes"])
    missing = _mandatory(backend) - set(backend["dtypes"])
    if missing:
        yield f"{' and '.join(sorted(missing))}: mandatory on {backend['device']}, not declared"
    if not there:
        yield "no case was run"
    if document["selection"] == WHOLE:
        yield from (f"{key}: did not run" for key in required if key not in there)
    yield from (f"{key}: is there {count} times" for key, count in there.items() if count > 1)
    yield from (f"{key}: the manifest has no such case" for key in set(there) - set(required))


def _mandatory(backend: Mapping[str, Any]) -> set[str]:
    """A device that is not the default one may lack float64."""
    default = backend["device"].partition(":")[0] == backend["default_device"]
    return {"float32", "float64"} if default else {"float32"}


def _fresh(document: Mapping[str, Any]) -> Iterator[str]:
    """Inputs that nobody could know before."""
    fresh = document["fresh"]
    if document["selection"] == WHOLE and not fresh["cases"]:
        yield "no case was run with fresh inputs"
    for failure in fresh["failures"]:
        yield f"with the fresh seed {fresh['seed']}: {failure}"


def _row(row: Mapping[str, Any], document: Mapping[str, Any], manifest: Manifest) -> Iterator[str]:
    state = row["state"]
    if state not in GOOD:
        yield f"{state}: {row.get('message', 'without a message')}"
    elif state == "passed":
        yield from _share(row["share"])
    elif state == "unsupported":
        yield from _unsupported(row, document["backend"]["unsupported"])
    else:
        yield from _known(row, document, manifest)


def _share(share: object) -> Iterator[str]:
    known = isinstance(share, (int, float)) and math.isfinite(share)
    if not (known and 0 <= share <= 1):  # type: ignore[operator]  # a number, if known
        yield f"expected a share of the budget between 0 and 1, got {share}"


def _unsupported(row: Mapping[str, Any], declared: Mapping[str, str]) -> Iterator[str]:
    operation = row.get("operation")
    if operation not in declared:
        yield f"unsupported: {operation} is not declared"
    if operation in INDISPENSABLE:
        yield f"unsupported: {operation} is indispensable"


def _known(
    row: Mapping[str, Any], document: Mapping[str, Any], manifest: Manifest
) -> Iterator[str]:
    entries = [KnownFailure(**entry) for entry in document["known_failures"]]
    matching = [entry for entry in entries if entry.matches(row["case"], row["dtype"])]
    if not matching:
        yield "known failure: no entry matches it"
    elif matching[0].expired(document["issued"]):
        yield f"known failure: expired on {matching[0].expires}"
    if manifest.essential(row["case"]):
        yield "known failure: it is never excused"
