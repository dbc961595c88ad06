"""The tutorial's worked examples as data: the printed values, the correct ones, and the misprints.

Constraint: nothing is tuned to reproduce a misprint. ``correct`` is what the printed formula gives
for the printed inputs; where the tutorial prints something else, ``errata.toml`` has both values
and the reason. As a symmetric matrix hides a transposed product, each example has a companion of
our own, whose matrices are not symmetric.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel_conformance.tutorial.errata import read_errata

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EXAMPLES", "Example", "errata", "lookup"]

Value = Any
"""A number, or a list of them."""

_THIRD = 0.33333333333333333333
_W = [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
_SKEW = [[1, 2, 0], [0, 1, 3], [2, 0, 1]]
_PAIR = MappingProxyType({"prediction": [0.5, 0.3, 0.2], "target": [0.7, 0.2, 0.1]})
_OTHER_PAIR = MappingProxyType({"prediction": [0.1, 0.6, 0.3], "target": [0.25, 0.25, 0.5]})


@final
@dataclass(frozen=True, kw_only=True)
class Example:
    """One worked example.

    Args:
        id: the name of the example.
        section: the section of the tutorial; empty for a companion.
        formula: the formula as the tutorial writes it.
        inputs: the inputs, by their names in the formula.
        correct: the value that the formula gives, to all digits of float64.
        printed: the value that the tutorial prints; None for a companion.
        erratum: the reason why the two differ, or empty.
        note: a remark for the reader.
    """

    id: str
    section: str = ""
    formula: str
    inputs: Mapping[str, Value]
    correct: Value
    printed: Value = None
    erratum: str = ""
    note: str = ""

    @property
    def verdict(self) -> str:
        """``"holds"``, ``"erratum: …"``, or ``"companion"``."""
        if self.printed is None:
            return "companion"
        return f"erratum: {self.erratum}" if self.erratum else "holds"

    @property
    def computation(self) -> str:
        """The computation that it is an example of: its id without ``.companion``."""
        return self.id.split(".companion", maxsplit=1)[0]


_ERRATA = read_errata()


def _misprint(example_id: str) -> dict[str, Any]:
    """The members of an example that the errata state."""
    misprint = _ERRATA.misprints[example_id]
    return {
        "printed": misprint.printed,
        "correct": misprint.correct,
        "erratum": misprint.reason,
    }


EXAMPLES: tuple[Example, ...] = (
    Example(
        id="embedding",
        section="3.3.1",
        formula="W·x",
        inputs={"W": _W, "x": [1, 0, 0]},
        **_misprint("embedding"),
        note="the vocabulary is the second axis of W; the tutorial's index 1 counts from one",
    ),
    Example(
        id="embedding.companion",
        formula="W·x",
        inputs={"W": [[0, 5, 2], [3, 1, 0], [1, 4, 7]], "x": [0, 0, 1]},
        correct=[2, 0, 7],
    ),
    Example(
        id="embedding.companion.zero_based",
        formula="W·x",
        inputs={"W": _W, "x": [0, 1, 0]},
        correct=[1, 0, 1],
        note="index 1, counting from zero",
    ),
    Example(
        id="network.logits",
        section="3.3.2",
        formula="W·e + b",
        inputs={"W": [[1, 0, 1], [0, 1, 0], [1, 1, 0]], "e": [0, 1, 0], "b": [1, 1, 1]},
        printed=[1, 2, 2],
        correct=[1, 2, 2],
        note="holds for the corrected embedding; with the printed one it would be [2, 2, 2]",
    ),
    Example(
        id="network.logits.companion",
        formula="W·e + b",
        inputs={"W": _SKEW, "e": [1, 0, 2], "b": [0.5, -1, 2]},
        correct=[1.5, 5, 6],
    ),
    Example(
        id="network.output",
        section="3.3.2",
        formula="softmax(W·e + b)",
        inputs={"W": [[1, 0, 1], [0, 1, 0], [1, 1, 0]], "e": [0, 1, 0], "b": [1, 1, 1]},
        **_misprint("network.output"),
    ),
    Example(
        id="network.output.companion",
        formula="softmax(W·e + b)",
        inputs={"W": _SKEW, "e": [1, 0, 2], "b": [0.5, -1, 2]},
        correct=[0.0080559025982065984914, 0.26677485547481520144, 0.72516924192697820006],
    ),
    Example(
        id="attention.scores",
        section="3.3.3",
        formula="W_a·h",
        inputs={"W_a": _W, "h": [0, 1, 1]},
        printed=[1, 1, 1],
        correct=[1, 1, 1],
    ),
    Example(
        id="attention.scores.companion",
        formula="W_a·h",
        inputs={"W_a": _SKEW, "h": [0.5, -1, 2]},
        correct=[-1.5, 5, 3],
    ),
    Example(
        id="attention.weights",
        section="3.3.3",
        formula="softmax(W_a·h)",
        inputs={"W_a": _W, "h": [0, 1, 1]},
        printed=[0.33, 0.33, 0.33],
        correct=[_THIRD, _THIRD, _THIRD],
        note="holds to the two decimals printed",
    ),
    Example(
        id="attention.weights.companion",
        formula="softmax(W_a·h)",
        inputs={"W_a": _SKEW, "h": [0.5, -1, 2]},
        correct=[0.0013224735956957056094, 0.87963224709909076307, 0.11904527930521353133],
    ),
    Example(
        id="loss.mse",
        section="3.3.4",
        formula="mean of (prediction - target)²",
        inputs=_PAIR,
        **_misprint("loss.mse"),
    ),
    Example(
        id="loss.mse.companion",
        formula="mean of (prediction - target)²",
        inputs=_OTHER_PAIR,
        correct=0.061666666666666666667,
    ),
    Example(
        id="loss.ce",
        section="3.3.4",
        formula="-Σ target · ln prediction",
        inputs=_PAIR,
        **_misprint("loss.ce"),
    ),
    Example(
        id="loss.ce.companion",
        formula="-Σ target · ln prediction",
        inputs=_OTHER_PAIR,
        correct=1.3053390813529770881,
    ),
)


def errata() -> tuple[Example, ...]:
    """The examples whose printed result does not follow from their printed inputs."""
    return tuple(example for example in EXAMPLES if example.erratum)


def lookup(example_id: str) -> Example:
    """The example of that name."""
    return {example.id: example for example in EXAMPLES}[example_id]
