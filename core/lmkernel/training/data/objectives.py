"""What a model can be trained for: one table of the data of each objective and their batches."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, final

from lmkernel.errors import InputError, UnknownNameError
from lmkernel.training.data.causal_rows import CausalRows
from lmkernel.training.data.chat import chat_examples
from lmkernel.training.data.classification import ClassifiedRows, classified_examples
from lmkernel.training.data.masked import MaskedWindows, MaskingConfig
from lmkernel.training.data.packed import PackedCausal
from lmkernel.training.data.pairs import SequencePairs, pair_examples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.training.data.batches import Batches
    from lmkernel.training.data.prepare import Preparation
    from lmkernel.training.data.rows import Row
    from lmkernel.training.data.tokens import Tokens

__all__ = ["OBJECTIVES", "Objective", "find_objective"]


class _MakeBatches(Protocol):
    """Makes batches of `Tokens` or of a list of rows, whichever the objective reads."""

    def __call__(self, asked: Preparation, data: Any, /, *, shuffle: bool) -> Batches: ...


@final
@dataclass(frozen=True, kw_only=True)
class Objective:
    """One way to train.

    Args:
        reads: ``"documents"``, kept as tokens one after another, or ``"rows"``, an example each.
        batches: makes batches of either.
        head: what the model needs at its end, in words.
        needs_labels: whether rows have classes, whose names the model keeps.
        every_token: whether the loss is that of every token, so that bits per byte follow from it.
        peft_task: PEFT's ``task_type`` of adapters, where it has one.
    """

    reads: Literal["documents", "rows"]
    batches: _MakeBatches
    head: str
    needs_labels: bool = False
    every_token: bool = False
    peft_task: str | None = None


def find_objective(name: str) -> Objective:
    """The objective of a name.

    Raises:
        UnknownNameError: no objective has that name.
    """
    if name not in OBJECTIVES:
        raise UnknownNameError("objective", name, OBJECTIVES)
    return OBJECTIVES[name]


def _causal(asked: Preparation, tokens: Tokens, *, shuffle: bool) -> Batches:
    return PackedCausal(tokens, shuffle=shuffle, **_sizes(asked))


def _masked(asked: Preparation, tokens: Tokens, *, shuffle: bool) -> Batches:
    masking = MaskingConfig.of(asked.tokenizer)
    return MaskedWindows(tokens, masking, shuffle=shuffle, **_sizes(asked))


def _instruction(asked: Preparation, rows: list[Row], *, shuffle: bool) -> Batches:
    data = asked.data
    examples = chat_examples(
        rows,
        asked.tokenizer,
        context=data.context,
        truncate=data.truncate,
        messages=data.column("messages"),
        prompt=data.column("prompt"),
        completion=data.column("completion"),
    )
    return CausalRows(list(examples), shuffle=shuffle, multiple=data.multiple, **_sizes(asked))


def _classification(asked: Preparation, rows: list[Row], *, shuffle: bool) -> Batches:
    data = asked.data
    examples = classified_examples(
        rows,
        asked.tokenizer,
        asked.labels,
        context=data.context,
        truncate=data.truncate,
        text=data.column("text"),
        second=data.columns.get("second"),
        label=data.column("label"),
    )
    sizes = {"classes": len(asked.labels), "multiple": data.multiple, **_sizes(asked)}
    return ClassifiedRows(list(examples), shuffle=shuffle, **sizes)


def _sequences(asked: Preparation, rows: list[Row], *, shuffle: bool) -> Batches:
    data = asked.data
    examples = pair_examples(
        rows,
        asked.tokenizer,
        context=data.context,
        truncate=data.truncate,
        source=data.column("source"),
        target=data.column("target"),
    )
    sizes = {"start": _start(asked), "multiple": data.multiple, **_sizes(asked)}
    return SequencePairs(list(examples), shuffle=shuffle, **sizes)


def _start(asked: Preparation) -> int:
    """The token that a decoder begins with."""
    tokenizer = asked.tokenizer
    known = (asked.start, tokenizer.bos_id, tokenizer.pad_id, *tokenizer.eos_ids)
    found = next((token for token in known if token is not None), None)
    if found is None:
        raise InputError("expected a token that a decoder begins with, got a tokenizer without")
    return found


def _sizes(asked: Preparation) -> dict[str, int]:
    data = asked.data
    sizes = {"context": data.context, "batch": data.batch, "seed": data.seed}
    return {**sizes, "vocab": asked.vocab}


OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        "causal": Objective(
            reads="documents",
            batches=_causal,
            head="scores of the next token",
            every_token=True,
            peft_task="CAUSAL_LM",
        ),
        "instruction": Objective(
            reads="rows",
            batches=_instruction,
            head="scores of the next token",
            peft_task="CAUSAL_LM",
        ),
        "masked": Objective(
            reads="documents", batches=_masked, head="scores of the token that a mask hides"
        ),
        "classification": Objective(
            reads="rows",
            batches=_classification,
            head="scores of the classes, from the first position",
            needs_labels=True,
            peft_task="SEQ_CLS",
        ),
        "sequences": Objective(
            reads="rows",
            batches=_sequences,
            head="scores of the target's next token, from a decoder beside an encoder",
            peft_task="SEQ_2_SEQ_LM",
        ),
    }
)
"""By the names that settings use."""
