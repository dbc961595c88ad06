"""The canonical form of a JSON object, and the hash over it.

Constraints: keys are sorted, there are no blanks and no NaN, the encoding is UTF-8. The member that
holds the hash is left out of it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HASH", "fingerprint", "with_hash"]

HASH = "sha256"
"""The member that holds the hash of the rest."""


def fingerprint(content: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical form, without the member `HASH`, in hexadecimal."""
    rest = {name: value for name, value in content.items() if name != HASH}
    text = json.dumps(
        rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


def with_hash(content: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the object with its hash as the member `HASH`."""
    return {**content, HASH: fingerprint(content)}
