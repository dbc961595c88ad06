"""Runs of a model over rows of ids, all at the same layer at any time.

Constraint: the runs share the parameters of the layer that they have come to, so that a model is
read once however many there are, and no more than a layer of it is in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.comparison.layers import HONEST_RUNS
from lmkernel.verification.arithmetic import rounded_products, rounded_weights
from lmkernel.verification.budgets import channel_limit
from lmkernel.verification.one_run import LayeredModel, Run, Variant
from lmkernel.verification.pictures_shown import SHOWN, ShownPictures

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.comparison.layers import Limit
    from lmkernel.config import SightConfig
    from lmkernel.verification.one_run import Input
    from lmkernel.verification.part import Part

    View = Callable[[int, NDArray[Any]], NDArray[np.float64]]

__all__ = [
    "ENDS",
    "HIDDEN",
    "LOGITS",
    "VECTOR",
    "Place",
    "reference_places",
    "variant_logits",
]

LOGITS, HIDDEN, VECTOR = "logits", "hidden vectors", "sentence vector"
ENDS = frozenset({LOGITS, HIDDEN, VECTOR})
"""What a run ends in."""


@final
@dataclass(frozen=True)
class Place:
    """One activation of every input.

    Args:
        name: the activation's.
        reference: of each input in float64, ``(1, time, channels)``.
        limits: how far each may be off.
    """

    name: str
    reference: Sequence[NDArray[np.float64]]
    limits: Sequence[Limit]


def reference_places(
    part: Part,
    inputs: Sequence[Input],
    view: View = lambda _, logits: logits,
    variant: Variant | None = None,
    runs: int = HONEST_RUNS,
    arithmetic: str = "float32",
    end: str = HIDDEN,
) -> Iterator[Place]:
    """Every activation in float64 with its budget, in the order of the run; its end last.

    Args:
        part: what is verified of the checkpoint.
        inputs: each of one row and without padding.
        view: what is compared of the logits ``(1, time, size)`` of the input with this number, or
            of the last hidden vectors where there is no head.
        variant: the model with something changed.
        runs: how many honest runs there are.
        arithmetic: of the honest runs, as `verification.arithmetic` says.
        end: what it ends in where there is no head.
    """
    exact = LayeredModel(part, inputs, "float64", variant or Variant())
    own = variant or Variant()
    rounding = replace(
        own,
        operations={**own.operations, **rounded_products(arithmetic)},
        change=rounded_weights(arithmetic, own.change),
    )
    rough = LayeredModel(part, inputs, "float32", rounding)
    count = len(inputs)
    with exact.model.backend.scope(), exact.model.backend.inference():
        shown: list[Any] = [None] * (count * (runs + 1))
        if exact.sight is not None:
            shown = yield from _shown_places(part, exact.sight, inputs, own, rounding, runs)
        exact_runs = [Run(exact, one, shown=x) for one, x in zip(inputs, shown, strict=False)]
        orders = ((order, one) for order in range(runs) for one in inputs)
        honest_runs = [
            Run(rough, one, order, shown=x)
            for (order, one), x in zip(orders, shown[count:], strict=True)
        ]
        for made in zip(*(run.go() for run in (*exact_runs, *honest_runs)), strict=True):
            values = [np.asarray(x, np.float64) for _, x in made]
            yield _place(made[0][0], values[:count], values[count:])
        if exact.head_size:
            yield from _logits_place(exact, rough, exact_runs, honest_runs, view)
        else:
            yield _headless_place(exact_runs, honest_runs, view, end)


def variant_logits(
    part: Part, inputs: Sequence[Input], variant: Variant
) -> list[NDArray[np.float64]]:
    """The logits of a changed model in float64, ``(batch, time, size)`` for each input.

    Of a model without a head, the last hidden vectors.
    """
    model = LayeredModel(part, inputs, "float64", variant)
    with model.model.backend.scope(), model.model.backend.inference():
        shown: list[Any] = [None] * len(inputs)
        if model.sight is not None:
            made = ShownPictures(part, model.sight, inputs, "float64", variant, parts=False)
            for _ in made.go():
                pass
            shown = made.vectors()
        runs = [Run(model, one, parts=False, shown=x) for one, x in zip(inputs, shown, strict=True)]
        for _ in zip(*(run.go() for run in runs), strict=True):
            pass
        if not model.head_size:
            return [run.hidden() for run in runs]
        return model.weights.logits([run.end for run in runs])


def _shown_places(
    part: Part,
    sight: SightConfig,
    inputs: Sequence[Input],
    own: Variant,
    rounding: Variant,
    runs: int,
) -> Generator[Place, None, list[NDArray[Any]]]:
    """The activations of the tower of pictures, and the vectors that it makes for every run."""
    exact = ShownPictures(part, sight, inputs, "float64", own)
    honest = ShownPictures(part, sight, inputs, "float32", rounding, range(runs))
    for made in zip(exact.go(), honest.go(), strict=True):
        right, rough = ([np.asarray(x, np.float64) for _, x in one] for one in made)
        yield _place(made[0][0][0], right, rough)
    right, rough = exact.vectors(), honest.vectors()
    yield _place(SHOWN, right, [np.asarray(x, np.float64) for x in rough])
    return [*right, *rough]


def _place(name: str, reference: Sequence[NDArray[Any]], honest: Sequence[NDArray[Any]]) -> Place:
    count = len(reference)
    budgets = []
    for i, want in enumerate(reference):
        budgets.append(channel_limit(name, want, honest[i::count]))
    return Place(name, reference, budgets)


def _logits_place(
    exact: LayeredModel, rough: LayeredModel, runs: Sequence[Run], honest: Sequence[Run], view: View
) -> Iterator[Place]:
    # a head may be as large as all layers together: in float64 it is used part by part, in float32
    # it is kept, for as many runs as there are
    logits = exact.weights.logits([run.end for run in runs])
    reference = [view(i, x) for i, x in enumerate(logits)]
    [whole] = rough.weights.head_parts(exact.head_size)
    budgets = []
    for i, want in enumerate(reference):
        made = (
            view(i, rough.weights.apply_head(*whole, *run.end)) for run in honest[i :: len(runs)]
        )
        budgets.append(channel_limit(LOGITS, want, made))
    yield Place(LOGITS, reference, budgets)


def _headless_place(runs: Sequence[Run], honest: Sequence[Run], view: View, name: str) -> Place:
    """Of a model without a head, what is made of the last hidden vectors."""
    reference = [view(i, run.hidden()) for i, run in enumerate(runs)]
    budgets = [
        channel_limit(name, want, (view(i, run.hidden()) for run in honest[i :: len(runs)]))
        for i, want in enumerate(reference)
    ]
    return Place(name, reference, budgets)
