"""A verification as a document: all that was found, and a verdict that follows from it.

Constraint: `verdict` is a function of what the document holds, so that whoever reads one can
recompute it; the hash shows whether it was edited, and is no signature.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

from lmkernel.checkpoints.json_files import read_object
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["FORMAT", "finite", "is_outside", "read_document", "verdict", "with_verdict"]

FORMAT = 1
_MEMBERS: dict[str, type | tuple[type, ...]] = {
    "format": int,
    "checkpoint": dict,
    "subject": dict,
    "reference": dict,
    "level": str,
    "compared": str,
    "rows": list,
    "questions": list,
    "guards": list,
    "places": list,
    "metrics": dict,
    "parting": (dict, type(None)),
    "diagnoses": list,
    "unseen": list,
    "passed": bool,
    "verdict": str,
    "hash": str,
}

Document = dict[str, Any]


def is_outside(place: Mapping[str, Any]) -> bool:
    """Whether one activation of one row is outside its budget; null stands for no bound at all."""
    share = place["share"]
    return share is None or not share <= 1


def finite(value: float) -> float | None:
    """A number as JSON holds it: None stands for what is not finite."""
    return value if math.isfinite(value) else None


def verdict(document: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether the subject is right, and the sentence that says so.

    Args:
        document: without its last three members, or with them.
    """
    subject, dtype = document["subject"]["name"], document["subject"]["dtype"]
    problems = [g for g in document["guards"] if g["state"] == "problem"]
    outside = [p for p in document["places"] if is_outside(p)]
    if not outside and not problems:
        worst = max(document["places"], key=lambda p: p["share"])
        where = f"{worst['share']:.0%} at {worst['activation']}, {worst['question']!r}"
        return True, f"right: {subject} in {dtype} differs by rounding alone; at most {where}"
    if not outside:
        return False, f"wrong: {subject}: {problems[0]['name']}: {problems[0]['text']}"
    where = _where(document, outside)
    looks = _looks(document["diagnoses"])
    first = f"; {problems[0]['text']}" if problems and not document["diagnoses"] else ""
    return False, f"wrong: {subject} in {dtype} parts at {where}; {looks}{first}"


def _where(document: Mapping[str, Any], outside: Sequence[Mapping[str, Any]]) -> str:
    parting = document["parting"]
    if parting is not None and parting["how"] == "truncation":
        return f"{parting['activation']}, by its logits on the first layers"
    first = outside[0]["activation"]
    own = [p for p in outside if p["activation"] == first]
    worst = max(own, key=lambda p: math.inf if p["share"] is None else p["share"])
    share = "no number" if worst["share"] is None else f"{worst['share']:.3g} times its budget"
    return f"{first}, {share} in {worst['question']!r}"


def _looks(diagnoses: Sequence[Mapping[str, Any]]) -> str:
    named = [d for d in diagnoses if d["after"] <= 1]
    if not named:
        return "what it looks like is unknown"
    words = ", or ".join(str(d["words"]) for d in named)
    return f"as if {words}: {named[0]['before']:.3g} budgets become {named[0]['after']:.2g}"


def with_verdict(document: Mapping[str, Any]) -> Document:
    """The document with its verdict and its hash."""
    passed, sentence = verdict(document)
    whole = {**document, "passed": passed, "verdict": sentence}
    return {**whole, "hash": _hash(whole)}


def read_document(path: Path) -> Document:
    """A document from a file, with its verdict recomputed.

    Raises:
        CheckpointError: it is none, it was edited, or its verdict does not follow.
    """
    document = read_object(path, required=True)
    for name, kind in _MEMBERS.items():
        if not isinstance(document.get(name), kind) or name not in document:
            raise CheckpointError(f"{path}: {name}: expected a verification's")
    if document["format"] != FORMAT:
        raise CheckpointError(f"{path}: format: expected {FORMAT}, got {document['format']}")
    try:
        again = with_verdict({n: x for n, x in document.items() if n in _MEMBERS})
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: expected a verification, {error!r}") from error
    for name in ("passed", "verdict", "hash"):
        if document[name] != again[name]:
            got = f"{again[name]!r} follows from it, it says {document[name]!r}"
            raise CheckpointError(f"{path}: {name}: {got}")
    return document


def _hash(document: Mapping[str, Any]) -> str:
    kept = {name: x for name, x in document.items() if name != "hash"}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
