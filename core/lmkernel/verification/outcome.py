"""The result of a verification: a sentence, a table, and the same for machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.results import Paint, Result, plain
from lmkernel.verification.document import is_outside
from lmkernel.verification.formats import html_page, junit_xml, markdown
from lmkernel.verification.running import ENDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Verification"]

_METRICS = {
    "largest": "largest |Δ|",
    "mean": "mean |Δ|",
    "kl_forward": "KL(reference‖subject)",
    "kl_backward": "KL(subject‖reference)",
    "log_prob": "mean |Δ log p| of the next token",
    "ratio": "mean exp |Δ log p|",
    "agreement": "same first choice",
    "near_ties": "near a tie",
}


@final
@dataclass(frozen=True, repr=False)
class Verification(Result):
    """What `lmkernel.verify` found.

    Args:
        document: all of it, as plain values; ``json()`` gives the same.
    """

    document: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        """Whether the subject differs by rounding alone."""
        return bool(self.document["passed"])

    @property
    def verdict(self) -> str:
        """The sentence."""
        return str(self.document["verdict"])

    @property
    def parts_at(self) -> str | None:
        """Where it parts: an activation or a layer; None if it does not."""
        parting = self.document["parting"]
        return None if parting is None else str(parting["activation"])

    @property
    def diagnoses(self) -> tuple[str, ...]:
        """The ids of the defects that explain the difference, the nearest first."""
        return tuple(one["id"] for one in self.document["diagnoses"])

    def rows(self) -> list[list[str]]:
        """Its table."""
        return self.rows_in_colour(plain)

    def rows_in_colour(self, paint: Paint) -> list[list[str]]:
        """A row for each activation, of its worst question, and for the logits of each question."""
        rows = [["PLACE", "QUESTION", "ERROR", "HONEST", "SHARE OF THE BUDGET"]]
        return rows + [_cells(place, paint) for place in worst_places(self.document)]

    def notes(self) -> list[str]:
        """The verdict, the guards, and the numbers that people know."""
        lines = [f"{g['name']}: {g['text']}" for g in self.document["guards"] if g["state"] != "ok"]
        numbers = [
            f"{words} {_number(name, value)}"
            for name, words in _METRICS.items()
            if (value := self.document["metrics"].get(name)) is not None
        ]
        lines += self.document["unseen"]
        versions = _versions(self.document)
        first = _first_difference(self.document)
        return [*lines, "; ".join(numbers), *first, versions, self.verdict]

    def json(self) -> dict[str, Any]:
        """The document."""
        return dict(self.document)

    def markdown(self) -> str:
        """A block for a pull request."""
        return markdown(self.document, worst_places(self.document), self.notes())

    def html(self) -> str:
        """A page, without scripts and without anything from elsewhere."""
        return html_page(self.document, worst_places(self.document), self.notes())

    def junit(self) -> str:
        """JUnit XML: a case for each place and each guard."""
        return junit_xml(self.document)

    def write(self, folder: Path) -> None:
        """``verification.json``, ``.html``, ``.md`` and ``junit.xml``, all of them or none.

        Raises:
            CheckpointError: the folder holds anything else, or the disk refuses.
        """
        import json

        from lmkernel.atomic import new_directory, sweep

        made = {
            "verification.json": json.dumps(self.document, indent=1, ensure_ascii=False) + "\n",
            "verification.html": self.html(),
            "verification.md": self.markdown(),
            "junit.xml": self.junit(),
        }
        sweep(folder.absolute().parent)  # an earlier one that a kill took away is back first
        ours = folder.is_dir() and {file.name for file in folder.iterdir()} <= set(made)
        with new_directory(folder, overwrite=ours) as place:
            for name, text in made.items():
                (place / name).write_text(text, encoding="utf-8")

    def __repr__(self) -> str:
        return f"Verification({self.verdict!r})"


def _versions(document: Mapping[str, Any]) -> str:
    """Of the subject, where it says some, and of the reference."""
    subject, reference = (
        ", ".join(f"{name} {version}" for name, version in document[part]["versions"].items())
        for part in ("subject", "reference")
    )
    return f"versions: {subject or 'the subject says none'}; reference: {reference}"


def _first_difference(document: Mapping[str, Any]) -> list[str]:
    one = document["metrics"].get("first_difference")
    if one is None:
        return []
    tie = "a tie" if one["tie"] else "NOT a tie"
    text = (
        f"the first choice that differs is after token {one['position']} of {one['row']!r} in "
        f"{one['question']!r}: expected {one['expected']}, got {one['got']}; their logits are "
        f"{one['gap']:.2e} apart: {tie}"
    )
    return [text]


def worst_places(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The worst of each activation over all questions, and the logits of each question."""
    worst: dict[tuple[str, str], dict[str, Any]] = {}
    for place in document["places"]:
        last = place["activation"] in ENDS
        key = (place["activation"], place["question"] if last else "")
        if key not in worst or _size(place) > _size(worst[key]):
            worst[key] = place
    return list(worst.values())


def _size(place: Mapping[str, Any]) -> float:
    return float("inf") if place["share"] is None else float(place["share"])


def _cells(place: Mapping[str, Any], paint: Paint) -> list[str]:
    share = "no number" if place["share"] is None else f"{place['share']:.1%}"
    error = "no number" if place["error"] is None else f"{place['error']:.2e}"
    last = paint(share, "red") if is_outside(place) else share
    return [place["activation"], place["question"], error, f"{place['honest']:.2g}×", last]


def _number(name: str, value: float) -> str:
    return f"{value:.1%}" if name in ("agreement", "near_ties") else f"{value:.3g}"
