"""What a model can be trained for: one table of the data of each objective and their batches."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, final

from lmkernel.arguments import require_known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lmkernel.training.data.batches import Batches
    from lmkernel.training.data.prepare import Preparation
    from lmkernel.training.data.rows import Rows, UnusedColumns

__all__ = ["COLUMNS", "OBJECTIVES", "TURNS", "Objective", "find_objective"]

COLUMNS = (
    *("text", "second", "label", "source", "target"),
    *("messages", "prompt", "completion", "input", "system", "tools"),
    *("tokens", "tags", "entities", "question", "context", "answers", "score", "sound"),
)
"""What is made of columns; settings give those that have other names."""
TURNS = ("all", "last")
"""Which turns of the assistant are learned in a conversation."""


@final
@dataclass(frozen=True, kw_only=True)
class Objective:
    """One way to train.

    Args:
        reads: ``"documents"``, kept as tokens one after another, or ``"rows"``, an example each.
        maker: what makes batches of tokens or examples, by its name in `lmkernel.training.data`'s
            ``objective_batches``; imported when it is used, since settings read this table.
        reader: what makes the examples of each row, the same way, where it reads rows.
        head: what the model needs at its end, in words.
        namer: what gives the names of the classes that rows have, the same way, where they have
            some, which the model keeps.
        loss: the kind of the loss.
        every_token: whether the loss is that of every token, so that bits per byte follow from it.
        converses: whether its rows are conversations, which a chat template makes a text of.
        texts: what is made of columns that a new vocabulary is learnt from.
        sentinels: whether a new vocabulary that has no mask gets tokens that stand for what is
            hidden.
        peft_task: PEFT's ``task_type`` of adapters, where it has one.
        problem_type: what transformers calls its loss, where classes are told apart by it.
    """

    reads: Literal["documents", "rows"]
    maker: str
    reader: str = ""
    head: str
    namer: str = ""
    loss: str = "cross_entropy"
    every_token: bool = False
    converses: bool = False
    texts: tuple[str, ...] = ("text",)
    sentinels: bool = False
    peft_task: str | None = None
    problem_type: str | None = None

    def batches(self, asked: Preparation, data: Any, *, shuffle: bool) -> Batches:
        """The batches of `Tokens` or of a list of examples, whichever the objective reads."""
        made: Batches = self._function(self.maker)(asked, data, shuffle=shuffle)
        return made

    def examples(
        self, asked: Preparation, rows: Rows, unused: UnusedColumns
    ) -> Iterator[list[Any]]:
        """The examples of each row, in the order of the rows."""
        made: Iterator[list[Any]] = self._function(self.reader)(asked, rows, unused)
        return made

    @property
    def needs_labels(self) -> bool:
        """Whether rows have classes."""
        return bool(self.namer)

    def names(self, asked: Preparation, rows: Rows) -> tuple[str, ...]:
        """The names of the classes that rows have."""
        made: tuple[str, ...] = self._function(self.namer)(asked, rows)
        return made

    def _function(self, name: str) -> Callable[..., Any]:
        from lmkernel.training.data import objective_batches

        found: Callable[..., Any] = getattr(objective_batches, name)
        return found


def find_objective(name: str) -> Objective:
    """The objective of a name.

    Raises:
        UnknownNameError: no objective has that name.
    """
    require_known("objective", name, OBJECTIVES)
    return OBJECTIVES[name]


OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        "causal": Objective(
            reads="documents",
            maker="causal_batches",
            head="scores of the next token",
            every_token=True,
            peft_task="CAUSAL_LM",
        ),
        "instruction": Objective(
            reads="rows",
            maker="instruction_batches",
            reader="instruction_examples",
            head="scores of the next token",
            converses=True,
            peft_task="CAUSAL_LM",
        ),
        "masked": Objective(
            reads="documents", maker="masked_batches", head="scores of the token that a mask hides"
        ),
        "classification": Objective(
            reads="rows",
            maker="classification_batches",
            reader="classification_examples",
            head="scores of the classes, from the first position, or from a decoder's last one",
            namer="classification_names",
            peft_task="SEQ_CLS",
            problem_type="single_label_classification",
        ),
        "tagging": Objective(
            reads="rows",
            maker="tagging_batches",
            reader="tagging_examples",
            head="scores of the tags, at each position",
            namer="tagging_names",
            peft_task="TOKEN_CLS",
        ),
        "answers": Objective(
            reads="rows",
            maker="answers_batches",
            reader="answers_examples",
            head="scores of each position as the start and the end of an answer",
            loss="spans",
            peft_task="QUESTION_ANS",
        ),
        "scores": Objective(
            reads="rows",
            maker="scores_batches",
            reader="scores_examples",
            head="one score of a pair of texts",
            namer="scores_names",
            loss="binary_cross_entropy",
            peft_task="SEQ_CLS",
            problem_type="multi_label_classification",
        ),
        "sequences": Objective(
            reads="rows",
            maker="sequences_batches",
            reader="sequences_examples",
            head="scores of the target's next token, from a decoder beside an encoder",
            texts=("source", "target"),
            peft_task="SEQ_2_SEQ_LM",
        ),
        "denoising": Objective(
            reads="documents",
            maker="denoising_batches",
            head="scores of the target's next token, from a decoder beside an encoder",
            sentinels=True,
            peft_task="SEQ_2_SEQ_LM",
        ),
        "transcripts": Objective(
            reads="rows",
            maker="transcripts_batches",
            reader="transcripts_examples",
            head="scores of the letter that is spoken at each step, or of none",
            loss="ctc",
        ),
    }
)
"""By the names that settings use."""
