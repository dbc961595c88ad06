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
from lmkernel_conformance.levels import PROFILES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lmkernel.plugins import BackendSpec
    from lmkernel_conformance.manifest import Manifest

__all__ = ["about_backend", "complete", "verify"]

FORMAT = 2
_KINDS = MappingProxyType(
    {
        dict: "a table",
        list: "a list",
        str: "a text",
        int: "a whole number",
        bool: "true or false",
        object: "a value",
    }
)
_MEMBERS: Mapping[str, Any] = {
    "format": int,
    "suite": str,
    "contract": str,
    "manifest": str,
    "profile": str,
    "selection": str,
    "issued": str,
    "precision": str,
    "budget": dict,
    "backend": {
        "name": str,
        "device": str,
        "default_device": str,
        "dtypes": [str],
        "unsupported": {...: str},
        "bitwise": [str],
        "distributes": bool,
        "requires": [str],
        "distributions": {...: str},
    },
    "cases": [{"case": str, "dtype": str, "state": str, "share": object, "shares": {...: object}}],
    "fresh": {"seed": int, "cases": int, "failures": [str]},
    "known_failures": [{field.name: str for field in dataclasses.fields(KnownFailure)}],
    "problems": [str],
    "next": str,
    "verdict": str,
    "reasons": [str],
    HASH: str,
}
"""A type; a list of one; the members that a table has, or, under ``...``, those of any name."""

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
        "bitwise": list(spec.capabilities.bitwise_on(device)),
        "distributes": bool(spec.distribute),
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


def _fingerprint(path: Path, certificate: Mapping[str, Any]) -> str:
    try:
        return fingerprint(certificate)
    except ValueError as error:  # NaN, or half a surrogate pair
        raise CheckpointError(f"{path}: expected what JSON can hold: {error}") from error


def _check_members(path: Path, certificate: Mapping[str, Any]) -> None:
    """Everything that the verdict reads is there, and of its type."""
    missing = [name for name in _MEMBERS if name not in certificate]
    if missing:
        raise CheckpointError(f"{path}: expected a certificate, {', '.join(missing)} is not there")
    _check_shape(certificate, _MEMBERS, str(path))
    for number, row in enumerate(certificate["cases"]):
        there = {name: str for name in ("message", "operation") if name in row}
        _check_shape(row, there, f"{path}: cases, entry {number}")
    if certificate["format"] != FORMAT:
        raise CheckpointError(
            f"{path}: expected a certificate of format {FORMAT}, got {certificate['format']}"
        )
    if certificate["profile"] not in PROFILES:
        raise CheckpointError(
            f"{path}: profile: expected one of {', '.join(PROFILES)}, "
            f"got {certificate['profile']!r:.60}"
        )


def _check_shape(value: Any, shape: Any, where: str) -> None:
    kind: Any = shape if isinstance(shape, type) else type(shape)
    wrong = isinstance(value, bool) and kind is int
    if wrong or not isinstance(value, kind):
        raise CheckpointError(f"{where}: expected {_KINDS.get(kind, kind)}, got {value!r:.60}")
    if isinstance(shape, list):
        for number, inner in enumerate(value):
            _check_shape(inner, shape[0], f"{where}, entry {number}")
    elif isinstance(shape, dict):
        for name in value if ... in shape else shape:
            if name not in value:
                raise CheckpointError(f"{where}: {name}: expected it, got nothing")
            _check_shape(value[name], shape.get(name, shape.get(...)), f"{where}: {name}")
