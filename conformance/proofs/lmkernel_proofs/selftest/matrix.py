"""The kill matrix as a page: which level catches which defect.

Constraint: two runs of the same suite give the same page, so it holds no times.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from lmkernel_conformance.cases import LEVELS
from lmkernel_conformance.catalogue import DEFECTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lmkernel_proofs.selftest.handwritten import Judgement
    from lmkernel_proofs.selftest.report import Report

__all__ = ["kill_matrix", "save"]

_INTRODUCTION = """\
# Kill matrix

Made by `lmkernel certify --self-test{full} --out docs/kill-matrix.md`.

The suite is tested as it tests backends: with defects put into a correct one on purpose. A mutant
counts as killed only if a case reports a discrepancy, never because something crashes.
Handwritten mutants are defects of a kind seen in public projects. Each is declared at the lowest
level that can see it, says which cases may fail, and passes all others. Mechanical mutants are
made from the source of the reference backend, of the compositions and components, and of what
trains and draws with them. Each runs through the cases that reach the changed line, lowest level
first, until one kills it. One that nothing kills is a gap in the suite, unless it computes the
same as before; then it is listed below, with the proof.
"""


def kill_matrix(report: Report) -> str:
    """The whole page, in Markdown."""
    introduction = _INTRODUCTION.replace("{full}", " --full" if report.full else "")
    parts = [introduction, _summary(report), _defects(report), _handwritten(report)]
    parts += [_mechanical(report), _stillborn(report), _equivalent(report)]
    return "\n".join(parts)


def save(report: Report, path: Path) -> None:
    """Write the page where the file's name ends in ``.md``, else as JSON."""
    text = kill_matrix(report) if path.suffix == ".md" else json.dumps(report.as_dict, indent=2)
    path.write_text(text.rstrip() + "\n", encoding="utf-8")


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(str, cells)) + " |\n" for cells in lines)


def _summary(report: Report) -> str:
    by_hand = Counter(j.verdict.by.level for j in report.handwritten if j.verdict.by)
    made = Counter(v.by.level for _, v in report.mechanical if v.by)
    rows = [[level, by_hand[level], made[level]] for level in LEVELS]
    rows.append(["killed in all", by_hand.total(), made.total()])
    states = report.states()
    rows.append(["equivalent", 0, states["equivalent"]])
    rows.append(["survived", len(report.handwritten) - by_hand.total(), _alive(states)])
    rows.append(["stillborn, not counted", 0, states["stillborn"]])
    return "## Summary\n\n" + _table(["killed at the level", "handwritten", "mechanical"], rows)


def _alive(states: Counter[str]) -> int:
    return states["survived"] + states["unreached"]


def _defects(report: Report) -> str:
    """Each row of the catalogue with its mutants and the cases that kill them."""
    rows = []
    for number, defect in sorted(DEFECTS.items()):
        own = [judgement for judgement in report.handwritten if judgement.mutant.row == number]
        names = ", ".join(f"`{judgement.mutant.id}`" for judgement in own)
        caught = ", ".join(dict.fromkeys(_killer(judgement) for judgement in own))
        rows.append([number, _cell(str(defect)), names, caught])
    head = ["#", "defect", "mutants", "caught by"]
    return "## Defects of the catalogue\n\n" + _table(head, rows)


def _killer(judgement: Judgement) -> str:
    by = judgement.verdict.by
    return "nothing" if by is None else f"`{by.case}`"


def _handwritten(report: Report) -> str:
    """● where it is declared and caught, ○ at other levels that notice it."""
    rows = []
    for judgement in report.handwritten:
        noticed = {failure.run.level for failure in judgement.failures}
        own = judgement.mutant.level
        marks = ["●" if x == own else "○" if x in noticed else "" for x in LEVELS]
        rows.append(
            [f"`{judgement.mutant.id}`", judgement.mutant.row or "", judgement.mutant.seen, *marks]
        )
    higher = [
        f"- `{judgement.mutant.id}`: {judgement.mutant.higher}\n"
        for judgement in report.handwritten
        if judgement.mutant.higher
    ]
    table = _table(["mutant", "row", "seen in", *LEVELS], rows)
    note = "\nDeclared above the lowest level that notices them:\n\n" if higher else ""
    explained = (_handwritten.__doc__ or "").strip()
    return f"## Handwritten mutants\n\n{explained}\n\n{table}{note}{''.join(higher)}"


def _mechanical(report: Report) -> str:
    """Mutants counted by source file, then by mutator."""
    by_file = _group_rows(report, [change.source.label for change, _ in report.mechanical])
    by_kind = _group_rows(report, [change.mutator for change, _ in report.mechanical])
    head = ["made", *LEVELS, "equivalent", "stillborn", "survived"]
    tables = f"{_table(['source', *head], by_file)}\n{_table(['mutator', *head], by_kind)}"
    return f"## Mechanical mutants\n\n{tables}"


def _group_rows(report: Report, names: Sequence[str]) -> list[list[object]]:
    rows: list[list[object]] = []
    for name in dict.fromkeys(names):
        own = [v for (_, v), n in zip(report.mechanical, names, strict=True) if n == name]
        levels = Counter(v.by.level for v in own if v.by)
        states = Counter(report.state(v) for v in own)
        counts = [levels[level] or "" for level in LEVELS]
        last = [states["equivalent"] or "", states["stillborn"] or "", _alive(states) or ""]
        rows.append([f"`{name}`", len(own), *counts, *last])
    return rows


def _stillborn(report: Report) -> str:
    count = report.states()["stillborn"]
    return (
        f"## Stillborn mutants\n\n{count} mechanical mutants raise another error, such as one of "
        "shapes, wherever a case would have noticed them, and give no wrong number anywhere. They "
        "prove nothing of the suite and count for nothing.\n"
    )


def _equivalent(report: Report) -> str:
    """Equivalent mutants, grouped by their proof."""
    by_proof: dict[str, list[str]] = {}
    for entry in report.equivalents.values():
        line = f"- `{entry.id}`: `{entry.change}`\n"
        by_proof.setdefault(entry.proof, []).append(line)
    parts = [f"{proof}\n\n{''.join(lines)}" for proof, lines in by_proof.items()]
    return "## Equivalent mutants\n\n" + "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
