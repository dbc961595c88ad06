"""What became of texts: each with its answer, as a table, as JSON, and scored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final, overload

from lmkernel.results import Result

if TYPE_CHECKING:
    from lmkernel.rewriting.scores import Scores

__all__ = ["Rewriting", "Rewritings"]


@final
@dataclass(frozen=True)
class Rewriting:
    """A text and what the model wrote.

    Args:
        source: the text.
        text: what was written.
        log_prob: the natural log-probability of all of its tokens under the model.
        finish_reason: ``"stop"``, or ``"length"`` where it was cut.
    """

    source: str
    text: str
    log_prob: float
    finish_reason: str

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "source": self.source,
            "text": self.text,
            "log_prob": round(self.log_prob, 6),
            "finish_reason": self.finish_reason,
        }

    def __str__(self) -> str:
        return self.text


@final
class Rewritings(Result, Sequence[Rewriting]):
    """Several texts and what the model wrote, in their order.

    Args:
        found: one for each.
    """

    def __init__(self, found: Sequence[Rewriting]) -> None:
        self._found = list(found)

    @overload
    def __getitem__(self, index: int) -> Rewriting: ...
    @overload
    def __getitem__(self, index: slice) -> list[Rewriting]: ...
    def __getitem__(self, index: int | slice) -> Rewriting | list[Rewriting]:
        return self._found[index]

    def __len__(self) -> int:
        return len(self._found)

    def score(self, references: Sequence[str], metrics: Sequence[str] = ()) -> Scores:
        """How near the texts are to others that are right; see `lmkernel.rewriting.scores`.

        Raises:
            InputError: not as many references as there are texts.
            UnknownNameError: a metric that there is none of.
            MissingDependencyError: the library that computes it is not installed.
        """
        from lmkernel.rewriting.scores import score_texts

        return score_texts([one.text for one in self], references, metrics)

    def rows(self) -> list[list[str]]:
        """Its table."""
        return [["TEXT", "SOURCE"], *([one.text, one.source] for one in self)]

    def json(self) -> list[dict[str, Any]]:
        """The same as plain values."""
        return [one.json() for one in self]

    def lines(self) -> str:
        """A JSON object a line."""
        return "\n".join(json.dumps(one, ensure_ascii=False) for one in self.json())
