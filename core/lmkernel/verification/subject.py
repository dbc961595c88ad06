"""A subject: somebody else's implementation of a checkpoint, which is asked and answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping  # noqa: TC003 - a dataclass's field
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel.verification.sequences import Question

__all__ = ["CAPABILITIES", "Answer", "Kind", "Opening", "Subject"]

Kind = Literal["logits", "log_probs", "token_log_probs", "best_log_probs", "hidden", "vectors"]
"""What an answer holds for each position: logits of the vocabulary, their log-softmax, or only one
log-probability: of the token that comes next in the question, or of the likeliest; or, of a model
without a head, its last hidden vector. Or it holds a vector for each row: the sentence's, made of
the last hidden vectors as the checkpoint says."""

CAPABILITIES: Mapping[str, str] = MappingProxyType(
    {
        "activations": "gives named activations",
        "batch": "takes several rows at once, padded on the right",
        "left-padding": "takes them padded on the left too",
        "positions": "takes positions that do not begin at 0",
        "decoding": "feeds tokens one by one, through a cache of keys and values",
        "target": "takes what a decoder beside an encoder is fed",
        "pictures": "reads pictures in place of tokens",
        "sounds": "reads frames or samples of sounds in place of tokens",
        "shown": "reads tokens with pictures among them",
        "checkpoints": "can be opened on another checkpoint, such as the first layers of this",
        "tokenizer": "turns texts into token ids",
    }
)
"""What a subject may be able to do besides answering one row at a time, by name."""


@final
@dataclass(frozen=True)
class Opening:
    """What a subject is opened with.

    Args:
        checkpoint: the folder or file of the model.
        argument: what stands after the subject's name and a colon; may be empty.
        dtype: of the computation: float32, bfloat16 or float16.
        options: the subject's own, by name.
        limit: the seconds that one answer may take, where they can be enforced.
    """

    checkpoint: Path
    argument: str = ""
    dtype: str = "float32"
    options: Mapping[str, str] = field(default_factory=dict)
    limit: float = 300.0


@final
@dataclass(frozen=True)
class Answer:
    """What a subject says to a question.

    Args:
        values: ``(batch, time, vocab)``, ``(batch, time)`` for log-probabilities of the next or
            the likeliest tokens, ``(batch, time, width)`` for hidden vectors, or ``(batch, size)``
            where the model's head pools, and for sentences' vectors.
            What stands at padding is not looked at. Where rows have targets, ``time`` is theirs.
        kind: what they are.
        activations: by the names of `lmkernel.inspection.run.activations`, such as
            ``layer 3 (attention)``: the hidden vectors after attention has been added; each
            ``(batch, time, width)``. Any that are missing are passed over. Names of a decoder
            beside an encoder begin with the word, and its columns are the target's.
        first: the first column that is answered; those before are not looked at.
        step: where values were written as whole numbers of steps above the lowest of a position,
            those steps, ``(batch, time)``: a value may be half of one off, and the lowest stands
            for whatever is less.
    """

    values: NDArray[Any]
    kind: Kind = "logits"
    activations: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    first: int = 0
    step: NDArray[Any] | None = None


class Subject(ABC):
    """An implementation of one checkpoint.

    The ``load`` of its `SubjectSpec` names what makes one of an `Opening`.

    Whatever it raises is reported as an error of the subject.
    """

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do, among `CAPABILITIES`; by default nothing of it."""
        return frozenset()

    @property
    def arithmetic(self) -> str:
        """In what it multiplies: a dtype, or ``"int8xN"`` as `verification.arithmetic` says.

        Empty where it is the dtype that it was opened with.
        """
        return ""

    @abstractmethod
    def answer(self, question: Question, *, activations: bool) -> Answer:
        """Answer one question.

        Args:
            question: which needs nothing that is not among the `capabilities`.
            activations: whether activations are of use.
        """

    def token_ids(self, text: str) -> Sequence[int] | None:
        """The ids that it makes of a text, special tokens included; None if it takes ids alone."""
        del text
        return None

    def own_rows(self) -> Sequence[Sequence[int]]:
        """The ids of the rows that it answered before it was opened, if that is all it can answer.

        They are asked under the names ``ids 1``, ``ids 2``, …, and nothing else is.
        """
        return ()

    def versions(self) -> Mapping[str, str]:
        """The versions of what takes part, by name."""
        return {}

    def close(self) -> None:
        """End what it has started."""
        return
