"""The canonical form of a JSON document, and the hash over it.

Constraint: keys in order, no blanks, UTF-8, no NaN; the hash leaves out the member that holds it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HASH", "fingerprint", "sealed"]

HASH = "sha256"
"""The member that holds the hash of the rest."""


def fingerprint(document: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical form of all but the member `HASH`, in hexadecimal."""
    rest = {name: value for name, value in document.items() if name != HASH}
    text = json.dumps(
        rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with its hash."""
    return {**document, HASH: fingerprint(document)}
