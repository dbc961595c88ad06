"""``lmkernel compare --layers``: the hidden vectors of several backends, place by place."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.style import columns, paint
from lmkernel.plugins.registry import DEFAULT_BACKEND

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.comparison.layers import Limit, Reading
    from lmkernel.plugins.registry import Registry
    from lmkernel.sources import Progress

    Readings = Mapping[str, Sequence[Reading]]
    Run = list[dict[str, NDArray[Any]]]

__all__ = ["compare_layers"]

_EVERY = 6
"""By default every sixth of the fixed prompts: short and long ones, one of another script."""


def compare_layers(
    args: argparse.Namespace, names: list[str], path: str, registry: Registry, progress: Progress
) -> int:
    """Print a row for each place and who parts where; 1 if a backend leaves its budget.

    Args:
        args: ``model``, ``prompt``, ``dtype`` and ``json``.
        names: of the backends.
        path: where the model is.
        registry: of plugins.
        progress: where it reports.
    """
    from lmkernel.comparison.layers import HONEST_RUNS, limits, parted, readings
    from lmkernel.comparison.prompts import PROMPTS

    runs = _Runs(path, tuple(args.prompt or PROMPTS[::_EVERY]), registry, progress)
    [reference] = runs.of(DEFAULT_BACKEND, "float64")
    budgets = limits(reference, runs.of(DEFAULT_BACKEND, "float32", range(HONEST_RUNS)))
    dtype, found = args.dtype or "float32", {}
    for name in names:
        [traces] = runs.of(name, dtype)
        found[name] = readings(traces, reference, budgets, dtype)
    sentences = parted(found)
    if args.json:
        print(json.dumps(_json(args.model, runs.prompts, budgets, found, sentences)))
    else:
        print(_text(budgets, found, sentences))
    return int(any(not row.share <= 1 for rows in found.values() for row in rows))


@final
class _Runs:
    """The prompts on one backend after the other; only one model is in memory at a time."""

    def __init__(
        self, path: str, texts: tuple[str, ...], registry: Registry, progress: Progress
    ) -> None:
        self._path, self._texts = path, texts
        self._registry, self._progress = registry, progress
        self.prompts: list[list[int]] = []

    def of(self, backend: str, dtype: str, orders: Iterable[int] = (0,)) -> Iterator[Run]:
        """Every place of each prompt, once for each order."""
        from lmkernel.comparison.layers import trace
        from lmkernel.comparison.prompts import prompt_ids
        from lmkernel.loading import load_model

        loaded = load_model(self._path, backend=backend, dtype=dtype, registry=self._registry)
        if not self.prompts:
            self.prompts = [prompt_ids(loaded.tokenizer, text) for text in self._texts]
        every = list(orders)
        with self._progress.bar(f"{backend}, {dtype}", len(every), "run") as advance:
            for order in every:
                yield [
                    trace(loaded.model, loaded.params, p, order=order, registry=self._registry)
                    for p in self.prompts
                ]
                advance(1)


def _text(budgets: Sequence[Limit], found: Readings, sentences: Sequence[str]) -> str:
    rows = [("PLACE", "HONEST", *(name.upper() for name in found))]
    for i, limit in enumerate(budgets):
        cells = (_cell(backend_rows[i]) for backend_rows in found.values())
        rows.append((limit.place, f"{limit.honest.max():.2e}", *cells))
    return "\n".join([columns(rows), *_LEGEND, *sentences])


_LEGEND = (
    "HONEST: the largest error of 16 runs of the default backend in float32 against float64",
    "a backend: its largest error, (as a multiple of the honest one, share of the budget)",
)


def _cell(row: Reading) -> str:
    cell = f"{row.error:.2e} ({row.honest:.2g}×, {row.share:.0%})"
    return cell if row.share <= 1 else paint(cell, "red", sys.stdout)


def _json(
    model: str,
    prompts: list[list[int]],
    budgets: Sequence[Limit],
    found: Readings,
    sentences: Sequence[str],
) -> dict[str, Any]:
    places = [
        {
            "place": limit.place,
            "honest": float(limit.honest.max()),
            "backends": {name: _numbers(rows[i]) for name, rows in found.items()},
        }
        for i, limit in enumerate(budgets)
    ]
    parts = {
        name: next((row.place for row in rows if not row.share <= 1), None)
        for name, rows in found.items()
    }
    head = {"model": model, "prompt_tokens": prompts, "places": places}
    return {**head, "parts_at": parts, "sentences": list(sentences)}


def _numbers(row: Reading) -> dict[str, float | None]:
    """None stands for what has no bound, such as NaN."""
    values = dataclasses.asdict(row)
    del values["place"]
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
