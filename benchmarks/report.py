"""Lays out the result as Markdown tables, which a terminal shows as well.

Constraint: the page follows from the result alone, so a stored JSON file gives the same page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bars import Verdict, verdicts
from summary import busiest, medians, samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from subject import Metric, Subject

    Result = Mapping[str, Any]

__all__ = ["markdown"]

QUIET = 0.05
"""The share of the processors that others may take before a page warns."""

INTRODUCTION = (
    "Written by `{}`; `benchmarks/README.md` says how each is measured and why that is equal work."
)
RATIOS = (
    "Ratios of medians, ours over the best variant of the rival. A speed is to be at least the "
    "bar, a time or a peak at most."
)
SPREAD = (
    "Over {} alternating rounds. In brackets the least and the greatest. {}; “others” the largest "
    "share of the processors' time that other processes took during one of its runs."
)

WORDS = {True: "ok", False: "below", None: "–"}


def markdown(subject: Subject, result: Result) -> str:
    """Write the page.

    Args:
        subject: benchmark that ran.
        result: members ``machine``, ``settings``, ``runs``, ``failures``, as the driver keeps them.
    """
    runs = result["runs"]
    parts = [
        f"# {subject.title}",
        INTRODUCTION.format(subject.command),
        *_warnings(result),
        *subject.warnings(runs),
        "## Beside the rivals",
        RATIOS,
        _verdict_table(verdicts(subject, medians(runs))),
        "## Medians",
        SPREAD.format(result["settings"]["rounds"], subject.proof[1]),
        _median_table(subject, runs),
        "## Measured on",
        _table(("what", "value"), [*result["machine"].items(), *_settings(result)]),
        "## Versions",
        _versions(runs),
    ]
    return "\n\n".join(parts) + "\n"


def _warnings(result: Result) -> list[str]:
    found = [f"**{one['contestant']} failed** ({one['error']})." for one in result["failures"]]
    share = max(busiest(result["runs"]).values(), default=0.0)
    if share > QUIET:
        found.append(
            f"**The machine was not quiet**: other processes took up to {share:.0%} of the "
            "processors during a run, so read these figures as rough."
        )
    return found


def _verdict_table(found: Sequence[Verdict]) -> str:
    head = ("measure", "backend", "ours", "rival", "rival's", "ratio", "bar", "")
    return _table(head, [_verdict_row(one) for one in found])


def _verdict_row(one: Verdict) -> tuple[str, ...]:
    metric = one.metric
    sign = "≥" if metric.is_speed else "≤"
    return (
        f"{metric.title}, {metric.unit}",
        one.variant,
        f"{one.value:,.{metric.digits}f}",
        one.rival,
        f"{one.rival_value:,.{metric.digits}f}",
        f"{one.ratio:.2f}",
        "–" if one.bar is None else f"{sign} {one.bar:g}",
        WORDS[one.is_met],
    )


def _median_table(subject: Subject, runs: Sequence[Mapping[str, Any]]) -> str:
    middle, spread, others, proof = (
        medians(runs),
        samples(runs),
        busiest(runs),
        subject.proof_cells(runs),
    )
    shown = {
        name: metric
        for name, metric in subject.metrics.items()
        if any(name in values for values in middle.values())
    }
    head = ["", *(f"{one.title}, {one.unit}" for one in shown.values())]
    rows = [
        (
            name,
            *(_cell(one, values.get(key), spread[name].get(key)) for key, one in shown.items()),
            proof.get(name, "–"),
            f"{others[name]:.0%}",
        )
        for name, values in middle.items()
    ]
    return _table([*head, subject.proof[0], "others"], rows)


def _cell(metric: Metric, middle: float | None, spread: Sequence[float] | None) -> str:
    if middle is None or not spread:
        return "–"
    digits = metric.digits
    return f"{middle:,.{digits}f} ({min(spread):,.{digits}f}–{max(spread):,.{digits}f})"


def _settings(result: Result) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), str(value)) for name, value in result["settings"].items()]


def _versions(runs: Sequence[Mapping[str, Any]]) -> str:
    rows: dict[str, tuple[str, str, str]] = {}
    for run in runs:
        if "versions" in run:
            listed = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
            name = run["contestant"]
            rows[name] = (name, listed, str(run["threads"]))
    return _table(("", "versions", "threads"), rows.values())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a Markdown table with columns of equal width."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(*lines, strict=True)]
    printed = [_line(line, widths) for line in lines]
    return "\n".join([printed[0], _line(["-" * width for width in widths], widths), *printed[1:]])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"| {' | '.join(c.ljust(w) for c, w in zip(cells, widths, strict=True))} |"
