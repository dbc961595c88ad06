"""Reference vectors: results of the oracle and its witnesses at the points, to the bit.

Constraints: each file has one maker and names it with its version. Numbers are float64 in
hexadecimal. A SHA-256 over the canonical form stands in the file and in the errata. Nothing tells
of a date or a machine. An edited file is an error that says what was expected, what came and where.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmkernel.checkpoints.json_files import read_object
from lmkernel.errors import CheckpointError
from lmkernel_conformance.canonical import HASH, fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FILES", "FOLDER", "FORMAT", "numbers", "read_vectors", "widest"]

FOLDER = Path(__file__).parent
FILES = ("mpmath.json", "oracle.json", "published.json", "torch.json")
"""The files, one for each maker."""
FORMAT = 1
_MEMBERS = {"format", "maker", "points", HASH}


def read_vectors(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Read one file, as ``{"maker", "points": {id: {"inputs", "values", "slopes"?, "allowed"?}}}``.

    Raises:
        CheckpointError: the file has another form, or its hash does not fit its content.
    """
    path = folder / name
    vectors = read_object(path, required=True)
    if set(vectors) != _MEMBERS or vectors["format"] != FORMAT:
        expected = ", ".join(sorted(_MEMBERS))
        raise CheckpointError(
            f"{path}: expected format {FORMAT} with {expected}; "
            f"got format {vectors.get('format')!r} with {', '.join(sorted(vectors))}"
        )
    if (got := fingerprint(vectors)) != vectors[HASH]:
        raise CheckpointError(f"{path}: expected {HASH} {vectors[HASH]} of its content, got {got}")
    return vectors


def numbers(values: Sequence[str]) -> list[float]:
    """Numbers from their hexadecimal form."""
    return [float.fromhex(value) for value in values]


def widest(got: Sequence[float], expected: Sequence[float], allowed: Sequence[float]) -> float:
    """The largest difference, as a share of its allowance; infinite for NaN or another count."""
    if len(got) != len(expected):
        return math.inf
    shares = [abs(g - e) / a for g, e, a in zip(got, expected, allowed, strict=True)]
    return math.inf if any(map(math.isnan, shares)) else max(shares, default=0.0)
