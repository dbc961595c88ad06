"""Writes docs/verifications.md from the documents of verifications.

``lmkernel verify … --out DIR`` writes them; then ``python docs/generate_verifications.py DIR …``.
"""
# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmkernel.verification.document import read_document

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["page", "row"]

_HEAD = """# Implementations of checkpoints, verified

Written by `python docs/generate_verifications.py` from the documents of `lmkernel verify --quick`
([how](verify.md)). The share is the largest of a budget anywhere; above 100 % something is wrong.

| checkpoint | implementation | dtype | verdict | share | mean exp abs Δ log p | near a tie | with |
|---|---|---|---|---|---|---|---|
"""


def row(document: dict[str, Any]) -> str:
    """One verification as a row of the table."""
    subject, metrics = document["subject"], document["metrics"]
    options = ", ".join(f"{k}={v}" for k, v in subject["options"].items())
    name = f"{subject['name']} ({options})" if options else subject["name"]
    shares = [p["share"] for p in document["places"]]
    worst = "no number" if None in shares else f"{max(shares):.0%}"
    told = "right" if document["passed"] else "**wrong**: " + _looks(document)
    ratio = f"{metrics['ratio']:.5f}" if metrics["ratio"] is not None else ""
    ties = f"{metrics['near_ties']:.0%}" if metrics["near_ties"] is not None else ""
    versions = ", ".join(f"{n} {v}" for n, v in subject["versions"].items())
    checkpoint = document["checkpoint"]["name"]
    cells = (checkpoint, name, subject["dtype"], told, worst, ratio, ties, versions)
    return f"| {' | '.join(cells)} |"


def _looks(document: dict[str, Any]) -> str:
    parting = document["parting"]
    where = f"from {parting['activation']} on" if parting else "by a guard"
    named = [d["words"] for d in document["diagnoses"]]
    return f"{where}, as if {named[0]}" if named else f"{where}, unknown"


def page(folders: Sequence[Path]) -> str:
    """The whole page; a row for each folder."""
    rows = [row(read_document(folder / "verification.json")) for folder in folders]
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    places = [Path(name) for name in sys.argv[1:]]
    (Path(__file__).parent / "verifications.md").write_text(page(places), encoding="utf-8")
