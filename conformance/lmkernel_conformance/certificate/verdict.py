"""The verdict on a certificate, a function of its content and the manifest alone.

Constraint: the same certificate has the same verdict, always and everywhere. What it says about its
own verdict is not read.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.budget import CLASSES
from lmkernel_conformance.certificate.known_failures import KnownFailure
from lmkernel_conformance.certificate.states import GOOD, INDISPENSABLE, NOT_OFFERED
from lmkernel_conformance.levels import SEVERAL
from lmkernel_conformance.manifest import Key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lmkernel_conformance.manifest import Manifest

__all__ = ["CERTIFIED", "WHOLE", "fresh_reason", "reasons", "verdict"]

CERTIFIED = "certified"
IN_PART = "passed in part"
NOT_CERTIFIED = "not certified"
WHOLE = "whole"


def verdict(certificate: Mapping[str, Any], manifest: Manifest) -> str:
    """`CERTIFIED`, `IN_PART` (only a part was run, and all of it passed), or `NOT_CERTIFIED`."""
    if reasons(certificate, manifest):
        return NOT_CERTIFIED
    return CERTIFIED if certificate["selection"] == WHOLE else IN_PART


def reasons(certificate: Mapping[str, Any], manifest: Manifest) -> list[str]:
    """The reasons not to certify, a line each; none if nothing stands against it.

    Args:
        certificate: the certificate; whatever it says of verdict and reasons is not read.
        manifest: the suite's own.
    """
    if certificate["manifest"] != manifest.hash:
        return [f"expected the manifest {manifest.hash[:12]}, got {certificate['manifest'][:12]}"]
    if certificate["problems"] and not certificate["cases"]:
        return list(certificate["problems"])  # that nothing was run follows from them
    found = [
        *certificate["problems"],
        *_check_coverage(certificate, manifest),
        *_check_fresh(certificate),
    ]
    for row in certificate["cases"]:
        found += [
            f"{row['case']}[{row['dtype']}]: {why}"
            for why in _check_row(row, certificate, manifest)
        ]
    return found


def _check_coverage(certificate: Mapping[str, Any], manifest: Manifest) -> Iterator[str]:
    """Cases that are missing, that appear twice, or that the manifest does not have."""
    backend = certificate["backend"]
    there = Counter(Key(row["case"], row["dtype"]) for row in certificate["cases"])
    required = manifest.required_keys(certificate["profile"], backend["dtypes"])
    missing = _mandatory(backend) - set(backend["dtypes"])
    if missing:
        yield f"{' and '.join(sorted(missing))}: mandatory on {backend['device']}, not declared"
    if not there:
        yield "no case was run"
    if certificate["selection"] == WHOLE:
        yield from (f"{key}: did not run" for key in required if key not in there)
    yield from (f"{key}: is there {count} times" for key, count in there.items() if count > 1)
    yield from (f"{key}: the manifest has no such case" for key in set(there) - set(required))


def _mandatory(backend: Mapping[str, Any]) -> set[str]:
    """The mandatory dtypes: a device that is not the default one may lack float64."""
    default = backend["device"].partition(":")[0] == backend["default_device"]
    return {"float32", "float64"} if default else {"float32"}


def _check_fresh(certificate: Mapping[str, Any]) -> Iterator[str]:
    """Failures with fresh inputs, or their absence from a whole run."""
    fresh = certificate["fresh"]
    if certificate["selection"] == WHOLE and not fresh["cases"]:
        yield "no case was run with fresh inputs"
    for failure in fresh["failures"]:
        yield fresh_reason(fresh["seed"], failure)


def fresh_reason(seed: int, failure: str) -> str:
    """The reason that a failure with fresh inputs is.

    Args:
        seed: the seed of the inputs.
        failure: the case, its dtype, and the message.
    """
    return f"with the fresh seed {seed}: {failure}"


def _check_row(
    row: Mapping[str, Any], certificate: Mapping[str, Any], manifest: Manifest
) -> Iterator[str]:
    state = row["state"]
    if state not in GOOD:
        yield f"{state}: {row.get('message', 'without a message')}"
    elif state == "passed":
        yield from _check_shares(row["share"], row["shares"])
    elif state == NOT_OFFERED:
        yield from _check_not_offered(row, certificate["backend"])
    elif state == "unsupported":
        yield from _check_unsupported_case(row, certificate["backend"]["unsupported"])
    else:
        yield from _check_known_failure(row, certificate, manifest)


def _check_shares(share: object, shares: Mapping[str, object]) -> Iterator[str]:
    """Shares outside 0 to 1, of unknown classes, or a largest one that is not the largest."""
    for name, one in [("", share), *((f" of {name} elements", x) for name, x in shares.items())]:
        known = isinstance(one, (int, float)) and math.isfinite(one)
        if not (known and 0 <= one <= 1):  # type: ignore[operator]  # a number, if known
            yield f"expected a share of the budget{name} between 0 and 1, got {one}"
            return
    if not set(shares) <= set(CLASSES):
        yield f"expected classes of elements among {', '.join(CLASSES)}, got {', '.join(shares)}"
    largest: Any = max(shares.values(), default=0.0)  # type: ignore[type-var]  # numbers, as checked
    if share != largest:
        yield f"expected the largest share of any class, {largest}, got {share}"


def _check_not_offered(row: Mapping[str, Any], backend: Mapping[str, Any]) -> Iterator[str]:
    if backend["distributes"] or not row["case"].startswith(f"{SEVERAL}/"):
        yield f"{NOT_OFFERED}: expected of level {SEVERAL}, on a backend without that tier, alone"


def _check_unsupported_case(row: Mapping[str, Any], declared: Mapping[str, str]) -> Iterator[str]:
    operation = str(row.get("operation"))
    if operation not in declared:
        yield f"unsupported: {operation} is not declared"
    if operation in INDISPENSABLE:
        yield f"unsupported: {operation} is indispensable"


def _check_known_failure(
    row: Mapping[str, Any], certificate: Mapping[str, Any], manifest: Manifest
) -> Iterator[str]:
    fields = [field.name for field in dataclasses.fields(KnownFailure)]
    rows = certificate["known_failures"]
    entries = [KnownFailure(**{name: entry[name] for name in fields}) for entry in rows]
    matching = [entry for entry in entries if entry.matches(row["case"], row["dtype"])]
    if not matching:
        yield "known failure: no entry matches it"
    elif matching[0].has_expired(certificate["issued"]):
        yield f"known failure: expired on {matching[0].expires}"
    if manifest.essential(row["case"]):
        yield "known failure: it is never excused"
