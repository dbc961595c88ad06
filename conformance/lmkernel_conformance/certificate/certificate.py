"""The certificate: what was run on which backend, with which result, and a hash over all of it.

Constraints: the verdict follows from the content (`verdict.py`); verifying recomputes it and the
hash. The hash shows whether a certificate was edited. It is no signature: it does not show who made
it.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.checkpoints.json_files import read_object
from lmkernel.contract.version import CONTRACT_VERSION
from lmkernel.errors import CheckpointError
from lmkernel.plugins.installed import ENTRY_POINT_GROUP
from lmkernel_conformance.budget import FACTOR, FLOOR_ULPS, ORDERS
from lmkernel_conformance.canonical import HASH, fingerprint, with_hash
from lmkernel_conformance.certificate.known_failures import KnownFailure
from lmkernel_conformance.certificate.verdict import CERTIFIED, reasons, verdict
from lmkernel_conformance.kept import kept_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lmkernel.plugins import BackendSpec
    from lmkernel_conformance.manifest import Manifest

__all__ = ["about_backend", "complete", "verify"]

FORMAT = 2
_MEMBERS = {
    "format": int,
    "suite": str,
    "contract": str,
    "manifest": str,
    "profile": str,
    "selection": str,
    "issued": str,
    "precision": str,
    "budget": dict,
    "backend": dict,
    "cases": list,
    "fresh": dict,
    "known_failures": list,
    "problems": list,
    "next": str,
    "verdict": str,
    "reasons": list,
    HASH: str,
}

_SHAPES: Mapping[str, Mapping[str, type]] = MappingProxyType(
    {
        "cases": {"case": str, "dtype": str, "state": str, "share": object, "shares": dict},
        "backend": {"dtypes": list, "unsupported": dict, "device": str, "default_device": str},
        "fresh": {"seed": object, "cases": object, "failures": list},
        "known_failures": {field.name: str for field in dataclasses.fields(KnownFailure)},
    }
)
"""What is read of the members that have some of their own."""

Certificate = dict[str, Any]


def about_backend(spec: BackendSpec, device: str) -> Certificate:
    """Describe a backend: name, device, declared capabilities, and the versions behind it.

    Args:
        spec: the specification that it is registered with.
        device: the device that it computes on.
    """
    names = dict.fromkeys((*spec.distributions, *_distributions(spec)))
    return {
        "name": spec.name,
        "description": spec.description,
        "contract": spec.contract,
        "device": device,
        "default_device": spec.capabilities.devices[0],
        "dtypes": list(spec.capabilities.dtypes_on(device)),
        "unsupported": dict(spec.capabilities.unsupported),
        "requires": list(spec.requires),
        "distributions": {name: _version(name) for name in names},
    }


def _distributions(spec: BackendSpec) -> list[str]:
    """The distributions that register something of the backend's own package."""
    package = spec.load.partition(":")[0].partition(".")[0]
    points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    own = [p.dist for p in points if p.value.partition(":")[0].partition(".")[0] == package]
    return sorted({dist.name for dist in own if dist is not None})


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def complete(
    about: Mapping[str, Any],
    known: Sequence[KnownFailure],
    manifest: Manifest,
) -> Certificate:
    """Complete a certificate: add the versions, the budget's numbers, the verdict and the hash.

    Args:
        about: the members profile, selection, precision, issued, backend, cases, fresh, next and
            problems.
        known: the backend's known failures.
        manifest: the manifest of the suite.
    """
    certificate: Certificate = {
        "format": FORMAT,
        "suite": _version("lmkernel"),
        "contract": CONTRACT_VERSION,
        "manifest": manifest.hash,
        "budget": _budget(),
        "known_failures": [dataclasses.asdict(entry) for entry in known],
        **about,
    }
    certificate["verdict"] = verdict(certificate, manifest)
    certificate["reasons"] = reasons(certificate, manifest)
    return with_hash(certificate)


def _budget() -> Certificate:
    """What the budgets are made of: the numbers, and the hash of the measured honest errors."""
    errors = kept_errors().hash
    return {
        "factor": FACTOR,
        "floor_ulps": FLOOR_ULPS,
        "orders": ORDERS,
        "honest_errors": errors,
    }


def verify(path: Path, manifest: Manifest) -> list[str]:
    """What is wrong with a certificate, a line each; empty if it certifies and rightly so.

    Args:
        path: the file ``certificate.json``.
        manifest: the manifest of the suite.

    Raises:
        CheckpointError: the file cannot be read, or is no certificate.
    """
    certificate = read_object(path, required=True)
    _check_members(path, certificate)
    found = []
    if certificate[HASH] != _fingerprint(path, certificate):
        found.append("it was edited: the content does not fit its hash")
    if certificate["budget"] != _budget():
        found.append(f"its budgets are not the suite's: {certificate['budget']}")
    why, now = reasons(certificate, manifest), verdict(certificate, manifest)
    if certificate["verdict"] != now:
        found.append(f"it says {certificate['verdict']!r}, its content says {now!r}")
    if now != CERTIFIED:
        found += why or [f"{now}: only a part of the suite was run ({certificate['selection']})"]
    return found


def _check_members(path: Path, certificate: Mapping[str, Any]) -> None:
    wrong = [n for n, kind in _MEMBERS.items() if not isinstance(certificate.get(n), kind)]
    if wrong:
        raise CheckpointError(f"{path}: expected a certificate, {', '.join(wrong)} is not there")
    if certificate["format"] != FORMAT:
        raise CheckpointError(
            f"{path}: expected a certificate of format {FORMAT}, got {certificate['format']}"
        )
    for name, shape in _SHAPES.items():
        parts = certificate[name] if isinstance(certificate[name], list) else [certificate[name]]
        for i, part in enumerate(parts):
            wrong = [key for key, kind in shape.items() if not _has(part, key, kind)]
            if wrong:
                raise CheckpointError(f"{path}: {name}, entry {i}: expected {', '.join(wrong)}")
    texts = (*certificate["problems"], *certificate["backend"]["dtypes"])
    if not all(isinstance(text, str) for text in texts):
        raise CheckpointError(f"{path}: expected texts as problems and as dtypes")


def _has(part: object, key: str, kind: type) -> bool:
    return isinstance(part, dict) and key in part and isinstance(part[key], kind)


def _fingerprint(path: Path, certificate: Mapping[str, Any]) -> str:
    try:
        return fingerprint(certificate)
    except ValueError as error:
        raise CheckpointError(f"{path}: expected a certificate, which has no NaN") from error
