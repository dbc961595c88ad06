"""The result for people: Markdown tables, which read as well in a terminal.

Constraint: a function of the result alone, so that a stored JSON file gives the same page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bars import METRICS, Verdict, verdicts
from summary import agreement, answers, busiest, medians, samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Result = Mapping[str, Any]

__all__ = ["markdown"]

QUIET = 0.05
"""Others may take this share of the processors before the figures are called disturbed."""

INTRODUCTION = (
    "Written by `benchmarks/run.py`; `benchmarks/README.md` says how each is measured and why that "
    "is equal work."
)
RATIOS = (
    "Ratios of medians, ours over the best variant of the rival. A speed is to be at least the "
    "bar, a time or a peak at most."
)
SPREAD = (
    "In brackets the least and the greatest. “Same tokens” is the share of the tokens that are "
    "also the first row's; “others” the largest share of the processors' time that other "
    "processes took during one of its runs."
)

WORDS = {True: "ok", False: "below", None: "–"}


def markdown(result: Result) -> str:
    """Write the page.

    Args:
        result: ``machine``, ``settings``, ``runs``, ``failures``, as the driver keeps them.
    """
    runs = result["runs"]
    parts = [
        "# Benchmarks",
        INTRODUCTION,
        *_warnings(result),
        "## Beside the rivals",
        RATIOS,
        _verdict_table(verdicts(medians(runs))),
        "## Medians",
        f"Over {result['settings']['rounds']} alternating rounds. {SPREAD}",
        _median_table(runs),
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
    texts = answers(result["runs"])
    if len(texts) > 1:
        groups = "; ".join(", ".join(names) for names in texts.values())
        found.append(f"**The cold starts gave different answers**: {groups}.")
    return found


def _verdict_table(found: Sequence[Verdict]) -> str:
    head = ("measure", "backend", "ours", "rival", "rival's", "ratio", "bar", "")
    return _table(head, [_verdict_row(one) for one in found])


def _verdict_row(one: Verdict) -> tuple[str, ...]:
    metric = METRICS[one.metric]
    sign = "≥" if metric.is_speed else "≤"
    return (
        f"{metric.title}, {metric.unit}",
        one.backend,
        f"{one.value:,.{metric.digits}f}",
        one.rival,
        f"{one.rival_value:,.{metric.digits}f}",
        f"{one.ratio:.2f}",
        "–" if one.bar is None else f"{sign} {one.bar:g}",
        WORDS[one.is_met],
    )


def _median_table(runs: Sequence[Mapping[str, Any]]) -> str:
    middle, spread = medians(runs), samples(runs)
    same, others = agreement(runs), busiest(runs)
    shown = [name for name in METRICS if any(name in values for values in middle.values())]
    head = ["", *(f"{METRICS[name].title}, {METRICS[name].unit}" for name in shown)]
    rows = [
        (
            name,
            *(_cell(metric, middle[name], spread[name]) for metric in shown),
            f"{same[name]:.0%}" if name in same else "–",
            f"{others[name]:.0%}",
        )
        for name in middle
    ]
    return _table([*head, "same tokens", "others"], rows)


def _cell(metric: str, middle: Mapping[str, float], spread: Mapping[str, Sequence[float]]) -> str:
    if metric not in middle:
        return "–"
    digits, values = METRICS[metric].digits, spread[metric]
    low, high = f"{min(values):,.{digits}f}", f"{max(values):,.{digits}f}"
    return f"{middle[metric]:,.{digits}f} ({low}–{high})"


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
