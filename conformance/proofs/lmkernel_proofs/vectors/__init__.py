"""Reference vectors: what the oracle and its witnesses gave at the points, to the bit.

Constraints: a file for each maker, which names it and its version; float64 in hexadecimal; a
SHA-256 over the canonical form, which the errata file must know; no date, no machine. A file that
was edited, or is of another form, is an error that says expected, got and where.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmkernel.checkpoints.documents import read_object
from lmkernel.errors import CheckpointError
from lmkernel_conformance.canonical import HASH, fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FILES", "FOLDER", "FORMAT", "numbers", "read_vectors", "widest"]

FOLDER = Path(__file__).parent
FILES = ("mpmath.json", "oracle.json", "published.json", "torch.json")
"""By maker."""
FORMAT = 1
_MEMBERS = {"format", "maker", "points", HASH}


def read_vectors(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """One file, as ``{"maker", "points": {id: {"inputs", "values", "slopes"?, "allowed"?}}}``.

    Raises:
        CheckpointError: it is no such file, or its hash is not the one of its content.
    """
    path = folder / name
    document = read_object(path, required=True)
    if set(document) != _MEMBERS or document["format"] != FORMAT:
        expected = ", ".join(sorted(_MEMBERS))
        raise CheckpointError(
            f"{path}: expected format {FORMAT} with {expected}; "
            f"got format {document.get('format')!r} with {', '.join(sorted(document))}"
        )
    if (got := fingerprint(document)) != document[HASH]:
        raise CheckpointError(f"{path}: expected {HASH} {document[HASH]} of its content, got {got}")
    return document


def numbers(values: Sequence[str]) -> list[float]:
    """Out of hexadecimal."""
    return [float.fromhex(value) for value in values]


def widest(got: Sequence[float], expected: Sequence[float], allowed: Sequence[float]) -> float:
    """The largest difference as a share of what is allowed; infinite for NaN or another count."""
    if len(got) != len(expected):
        return math.inf
    shares = [abs(g - e) / a for g, e, a in zip(got, expected, allowed, strict=True)]
    return math.inf if any(map(math.isnan, shares)) else max(shares, default=0.0)
