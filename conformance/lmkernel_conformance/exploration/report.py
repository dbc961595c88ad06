"""The result of a search as text: each failure with the commands that repeat it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmkernel_conformance.exploration.search import SearchResult

__all__ = ["describe_search"]


def describe_search(found: SearchResult, backend: str) -> str:
    """A paragraph for each failure, and a line that counts.

    Args:
        found: the result of the search.
        backend: the backend's name.
    """
    again = f"lmkernel certify {backend} --explore {found.asked} --seed {found.seed}"
    one = f"python -m lmkernel_conformance.exploration --backend {backend}"
    parts = [f"{f}\n    {again}\n    {one} {shlex.quote(f.json)}" for f in found.findings]
    count = f"{sum(found.examples.values())} examples of {len(found.examples)} properties"
    failures = f"{len(found.findings)} failures" if found.findings else "none fails"
    return "\n".join([*parts, f"seed {found.seed}: {count}: {failures}"])
