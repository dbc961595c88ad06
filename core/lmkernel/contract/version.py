"""The version of the contract, apart from the version of the package.

A minor version adds and changes nothing that was there; a major version may. A plugin says which it
was built for, and is refused when its major version differs or its minor version is newer than the
core's.
"""

from __future__ import annotations

from lmkernel.errors import ContractVersionError

__all__ = ["CONTRACT_VERSION", "check_contract"]

CONTRACT_VERSION = "1.2"


def check_contract(what: str, declared: str) -> None:
    """Raise `ContractVersionError` unless ``declared`` can be served.

    Args:
        what: who declares it, for the message.
        declared: ``"major.minor"``.
    """
    ours = _parse(CONTRACT_VERSION)
    try:
        theirs = _parse(declared)
    except ValueError:
        raise ContractVersionError(
            f"{what}: expected a contract version such as {CONTRACT_VERSION!r}, got {declared!r}"
        ) from None
    if theirs[0] != ours[0] or theirs[1] > ours[1]:
        advice = "upgrade lmkernel" if theirs > ours else "upgrade the plugin"
        raise ContractVersionError(
            f"{what} was built for contract {declared}, this lmkernel speaks {CONTRACT_VERSION}: "
            f"{advice}"
        )


def _parse(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)
