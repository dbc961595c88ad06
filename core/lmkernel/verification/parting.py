"""Where a subject parts: the first activation, or the first layer by shortened checkpoints.

A subject that gives no activations may still be asked about the first n layers, written to disk as
a checkpoint of their own; the fewest layers at which it is wrong name the layer.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

from lmkernel.origin import open_origin
from lmkernel.verification.guards import check_values
from lmkernel.verification.judging import judge
from lmkernel.verification.part import part_of
from lmkernel.verification.structure import top_transformer
from lmkernel.verification.twin import truncate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmkernel.verification.cells import Cell
    from lmkernel.verification.opening import OpenSubject
    from lmkernel.verification.part import Part
    from lmkernel.verification.prompts import Prompts

    Open = Callable[[Part], OpenSubject]

__all__ = ["Parting", "first_place", "layer_by_truncation"]


@final
@dataclass(frozen=True)
class Parting:
    """Where a subject is outside its budget first.

    Args:
        activation: its name, such as ``layer 3 (attention)``, or that of a layer.
        question: the question in which it is furthest off there.
        share: the share of the budget there.
        how: ``"activations"``, ``"truncation"``, or ``"logits"`` where nothing else could be asked.
    """

    activation: str
    question: str
    share: float
    how: str

    @property
    def layer(self) -> int | None:
        """The number of its layer, where it is known to be in one."""
        word, _, rest = self.activation.removeprefix("decoder ").partition(" ")
        number = rest.partition(" ")[0].rstrip(",")
        return (
            int(number) if word == "layer" and number.isdigit() and rest != number + "," else None
        )


def first_place(cells: Sequence[Cell]) -> Parting | None:
    """The first activation at which some question is outside its budget; None if none is."""
    for name in dict.fromkeys(c.activation for c in cells):
        own = [c for c in cells if c.activation == name]
        # a NaN is outside of every budget
        worst = max(own, key=lambda c: (not c.share <= 1, c.share))
        if not worst.share <= 1:
            how = "activations" if len({c.activation for c in cells}) > 1 else "logits"
            return Parting(name, worst.question, worst.share, how)
    return None


def layer_by_truncation(
    part: Part, prompts: Prompts, open_subject: Open, dtype: str
) -> Parting | None:
    """The layer at which a subject parts, by bisection over shortened checkpoints.

    Args:
        part: what is verified of the checkpoint, in which it stands under its own names.
        prompts: what is asked; of each shortened one too.
        open_subject: opens the subject on another checkpoint.
        dtype: of the subject's computation.

    Returns:
        The layer, or None where even the whole one is right when it is asked in this way.
    """
    _, stack = top_transformer(part.config)
    found: dict[int, Parting | None] = {}
    with tempfile.TemporaryDirectory() as folder:

        def parts(layers: int) -> bool:
            if layers not in found:
                files = part.origin.own_files.path
                place = truncate(files, layers, Path(folder) / str(layers))
                found[layers] = _ask(part_of(open_origin(place)), prompts, open_subject, dtype)
            return found[layers] is not None

        right, wrong = 0, stack.layers
        if not parts(wrong):
            return None
        while wrong - right > 1:
            middle = (right + wrong) // 2
            right, wrong = (right, middle) if parts(middle) else (middle, wrong)
        last = found[wrong]
    if last is None:
        raise AssertionError("expected a difference, which the loop has found")
    name = f"layer {wrong - 1}"
    if wrong == 1:
        name = "layer 0, or the embedding, the final norm or the head around it"
    return Parting(name, last.question, last.share, "truncation")


def _ask(part: Part, prompts: Prompts, open_subject: Open, dtype: str) -> Parting | None:
    """Where a subject parts on one shortened checkpoint, as far as its logits say."""
    with open_subject(part) as subject:
        answers = {
            q.name: subject.ask(q, activations=False)
            for q in prompts.questions
            if q.needs <= subject.capabilities
        }
    size = 0 if part.config.head is None else part.config.head.size
    cut, kind, _ = check_values(answers, size, dtype)
    return first_place(judge(part, prompts, cut, kind, dtype).cells)
