"""Medians over the rounds, and the check that all contestants did equal work."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Run = Mapping[str, Any]

__all__ = ["agreement", "answers", "busiest", "losses", "medians", "same_texts", "samples"]

MIB = 1024


def samples(runs: Sequence[Run]) -> dict[str, dict[str, list[float]]]:
    """Return one value a round, by contestant and metric.

    Args:
        runs: runs with ``contestant``, and either the ``median`` of a worker with its ``process``
            or the outcome of a ``cold`` start.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for run in runs:
        values = dict(run.get("median", {}))
        if "peak_kib" in run.get("process", {}):
            values["peak"] = run["process"]["peak_kib"] / MIB
        if "cold" in run:
            values["cold_seconds"] = run["cold"]["seconds"]
            values["cold_peak"] = run["cold"]["peak_kib"] / MIB
        for metric, value in values.items():
            found.setdefault(run["contestant"], {}).setdefault(metric, []).append(value)
    return found


def medians(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Return the median over the rounds, by contestant and metric."""
    return {
        name: {metric: statistics.median(values) for metric, values in metrics.items()}
        for name, metrics in samples(runs).items()
    }


def busiest(runs: Sequence[Run]) -> dict[str, float]:
    """Return the largest share of the processors that others took, by contestant."""
    found: dict[str, float] = {}
    for run in runs:
        shares = [run[kind]["foreign"] for kind in ("process", "cold") if kind in run]
        found[run["contestant"]] = max(found.get(run["contestant"], 0.0), *shares)
    return found


def agreement(runs: Sequence[Run]) -> dict[str, float]:
    """Return for each contestant what share of its tokens are the first contestant's.

    All decode greedily from the same prompts and weights, so a share far below 1 says that somebody
    computes something else; a near tie of two logits may part two rows late.
    """
    tokens: dict[str, list[int]] = {}
    for run in runs:
        rows = [row for rows in run.get("tokens", {}).values() for row in rows]
        if rows:
            tokens.setdefault(run["contestant"], [one for row in rows for one in row])
    if not tokens:
        return {}
    first = next(iter(tokens.values()))
    return {
        name: sum(a == b for a, b in zip(first, mine, strict=True)) / len(first)
        for name, mine in tokens.items()
    }


def answers(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return the contestants of the cold starts by the text that they answered."""
    found: dict[str, list[str]] = {}
    for run in runs:
        if "cold" in run:
            names = found.setdefault(run["cold"]["output"].strip(), [])
            names.extend({run["contestant"]} - set(names))
    return found


def losses(runs: Sequence[Run]) -> dict[str, list[float]]:
    """Return the loss of every step of each contestant's first run, where it trained."""
    found: dict[str, list[float]] = {}
    for run in runs:
        if run.get("losses"):
            found.setdefault(run["contestant"], run["losses"])
    return found


def same_texts(runs: Sequence[Run]) -> dict[str, float]:
    """Return for each contestant what share of its answers are the first contestant's."""
    texts: dict[str, list[str]] = {}
    for run in runs:
        if run.get("texts"):
            texts.setdefault(run["contestant"], run["texts"])
    first = next(iter(texts.values()), [])
    return {
        name: sum(a == b for a, b in zip(first, own, strict=True)) / len(first)
        for name, own in texts.items()
    }
