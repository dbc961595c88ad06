"""Mixtures of experts whose choices rounding alone may change: what can still be judged, is.

A subject that gives activations is judged layer by layer: each layer of the reference is run on
what the subject itself gave it, so that another choice in one layer is nobody's fault in the next.
What comes of an undecided choice is left out. Of a subject that gives logits alone, those are left
out that hang on an undecided choice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, final

import numpy as np

from lmkernel.verification.arithmetic import dtype_of
from lmkernel.verification.cells import as_input, cell_of, each_answer, end_of, view_of
from lmkernel.verification.guards import Guard
from lmkernel.verification.routing import hanging, mixtures, undecided
from lmkernel.verification.running import reference_places
from lmkernel.verification.sentences import pools
from lmkernel.verification.structure import top_transformer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig
    from lmkernel.verification.answers import RowAnswer
    from lmkernel.verification.cells import Cell
    from lmkernel.verification.guards import Answers
    from lmkernel.verification.one_run import Variant
    from lmkernel.verification.part import Part
    from lmkernel.verification.running import Place
    from lmkernel.verification.sequences import Question, Row
    from lmkernel.verification.subject import Kind

    Asked = tuple[Question, Row, RowAnswer]

__all__ = ["Choices", "judge_beside_ties"]


@final
class Choices:
    """Which choices of experts are undecided, as a run comes to them.

    Args:
        config: the model that runs.
        kind: what is compared at its end.
        dtype: of the subject's computation.
    """

    def __init__(self, config: ModelConfig, kind: Kind, dtype: str) -> None:
        _, stack = top_transformer(config)
        self._dtype, self._mixtures = dtype_of(dtype), mixtures(config)
        self._causal = stack.causal
        self._pools = pools(config, kind)
        self._last = f"layer {stack.layers - 1} (feed-forward)"
        self._layers: dict[str, list[NDArray[np.bool_]]] = {}

    def see(self, place: Place) -> None:
        """Look at a place, if it is one of routing."""
        if place.name not in self._mixtures:
            return
        after, experts = self._mixtures[place.name]
        self._layers[after] = [
            undecided(scores[0], limit.allowed(self._dtype), experts)
            for scores, limit in zip(place.reference, place.limits, strict=True)
        ]

    @property
    def count(self) -> tuple[int, int]:
        """How many are undecided, and how many choices there are."""
        each = [np.concatenate(rows) for rows in self._layers.values()]
        return sum(int(x.sum()) for x in each), sum(x.size for x in each)

    def decided(self, place: str, number: int) -> NDArray[np.bool_] | None:
        """The positions of an input at which a place hangs on no undecided choice of its layer."""
        return ~self._layers[place][number] if place in self._layers else None

    def logits_decided(self, number: int) -> NDArray[np.bool_]:
        """The positions of an input whose logits hang on no undecided choice at all."""
        layers = [rows[number] for rows in self._layers.values()]
        if self._last not in self._layers:
            layers.append(np.zeros_like(layers[0]))
        kept = ~hanging(layers, causal=self._causal)
        return np.array([kept.all()]) if self._pools else kept


def judge_beside_ties(
    part: Part,
    asked: Sequence[Question],
    answers: Answers,
    choices: Choices,
    last: Place,
    number: Mapping[str, int],
    kind: Kind,
    dtype: str,
    variant: Variant,
) -> tuple[list[Cell], Guard]:
    """What is judged where choices are undecided, in the order of the run, and what is said of it.

    Args:
        part: what is verified of the checkpoint.
        asked: the questions.
        answers: what was said to them.
        choices: those of the run of whole rows.
        last: its logits.
        number: which input of that run each row is.
        kind: what the logits are compared as.
        dtype: of the subject's computation.
        variant: what runs.

    Returns:
        The cells, none where every logit hangs on an undecided choice and nothing else is given;
        and a note.
    """
    config = variant.config or part.config
    every = list(each_answer(asked, answers))
    inside = [one for one in every if _gives_layers(config, one[2])]
    outside = [one for one in every if not _gives_layers(config, one[2])]
    cells: list[Cell] = []
    count = choices.count
    if inside:
        cells, count = _judge_layers(part, inside, kind, dtype, variant)
    judged, positions = 0, 0
    for question, row, answer in outside:
        keep = choices.logits_decided(number[row.name])
        judged, positions = judged + int(keep.sum()), positions + keep.size
        found = cell_of(last, number[row.name], question, row, answer, dtype, keep)
        cells += [] if found is None else [found]
    return cells, _say(count, judged, positions, layers=bool(inside))


def _gives_layers(config: ModelConfig, answer: RowAnswer) -> bool:
    _, stack = top_transformer(config)
    ends = {f"layer {i} (feed-forward)" for i in range(stack.layers)}
    return ends <= set(answer.activations)


def _judge_layers(
    part: Part, every: Sequence[Asked], kind: Kind, dtype: str, variant: Variant
) -> tuple[list[Cell], tuple[int, int]]:
    """Each place of the rows, computed from what the subject gave just before it.

    Returns:
        What is judged, and how many choices are undecided, of how many.
    """
    inputs = [
        replace(as_input(row), given={n: x[None] for n, x in answer.activations.items()})
        for _, row, answer in every
    ]
    view = view_of(part, kind, [row for _, row, _ in every])
    cells: list[Cell] = []
    choices = Choices(variant.config or part.config, kind, dtype)
    for place in reference_places(part, inputs, view, variant, arithmetic=dtype, end=end_of(kind)):
        choices.see(place)
        for i, (question, row, answer) in enumerate(every):
            keep = choices.decided(place.name, i)
            found = cell_of(place, i, question, row, answer, dtype, keep)
            cells += [] if found is None else [found]
    return cells, choices.count


def _say(count: tuple[int, int], judged: int, positions: int, *, layers: bool) -> Guard:
    tied = f"{count[0]} of {count[1]} lie within rounding of a tie"
    text = f"{tied}, and what comes of them is not judged"
    if layers:
        text += "; each layer is judged on what the subject itself gave it"
    if positions:
        text += f"; of {positions} logits that come without activations {judged} are judged"
    return Guard("choices of experts", "note", text)
