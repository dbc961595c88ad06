"""The canonical form of a JSON object, and the hash over it.

Constraints: keys are sorted, there are no blanks and no NaN, the encoding is UTF-8. The member that
holds the hash is left out of it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from lmkernel.checkpoints.json_files import read_object

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["HASH", "fingerprint", "read_hashed", "with_hash"]

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


def read_hashed(path: Path, remake: str) -> dict[str, Any]:
    """The object of a file that holds its hash.

    Args:
        path: the file.
        remake: how it is written again, for the message.

    Raises:
        CheckpointError: the file is missing or is not JSON.
        ValueError: the content does not match its hash.
    """
    content = read_object(path, required=True)
    if content.get(HASH) != fingerprint(content):
        raise ValueError(f"{path}: the content does not fit its hash; {remake}")
    return content
