"""Answers to questions about documents: a span of the document, or what a decoder writes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.arguments import require_count, require_flag
from lmkernel.errors import InputError, shown
from lmkernel.inspection.inputs import check_ids
from lmkernel.inspection.sentence_rows import context_of, forward_rows, in_batches, probabilities
from lmkernel.results import Line, Lines
from lmkernel.tasks.heads import task_head
from lmkernel.tokenizers.sentences import sentence_windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.language_model import LanguageModel
    from lmkernel.tokenizers.sentences import Sentence
    from lmkernel.tokenizers.tokenizer import Tokenizer

    Question = tuple[str, str]

__all__ = ["Answer", "Answers", "answer", "best_span", "question_windows"]

_PAIR = 2
_WINDOW, _OVERLAP = 384, 128
"""Tokens of a window and of two at once, as in BERT's own reading of SQuAD."""
_LONGEST = 30
_NOTHING = "no answer"
_ASKED = (
    "Answer the question from the document, as briefly as possible and in the document's words. "
    f'If the document does not answer it, write "{_NOTHING}".\n\n'
    "Document:\n{document}\n\nQuestion: {question}"
)


@final
@dataclass(frozen=True)
class Answer(Line):
    """The answer to a question about a document.

    Args:
        question: the question.
        text: the answer; empty where there is none.
        score: how probable it is: the product of the probabilities of its start and its end, or
            that of all tokens that a decoder wrote.
        start, end: where it stands in the document, in characters; None where it does not.
        no_answer: how probable it is that there is none; None where nobody says.
    """

    question: str
    text: str
    score: float
    start: int | None = None
    end: int | None = None
    no_answer: float | None = None

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        none = None if self.no_answer is None else round(self.no_answer, 6)
        return {
            "question": self.question,
            "answer": self.text,
            "score": round(self.score, 6),
            "start": self.start,
            "end": self.end,
            "no_answer": none,
        }

    def cells(self) -> dict[str, str]:
        """Its row in a table."""
        return {"ANSWER": self.text, "SCORE": f"{self.score:.4f}", "QUESTION": self.question}


@final
class Answers(Lines[Answer]):
    """The answers to several questions, in their order."""


def answer(
    model: LanguageModel,
    questions: Question | Sequence[Question],
    *,
    no_answer: bool = True,
    longest: int = _LONGEST,
    batch: int = 8,
) -> Answer | Answers:
    """The answer to each question, from its document.

    A model with a head for spans finds where the answer begins and ends, as in BERT
    (arXiv:1810.04805, §4.2 and §4.3); a long document is read in windows. Any other decoder is
    given document and question, through its chat template if it has one, and writes the likeliest
    answer.

    Args:
        model: fine-tuned by the objective ``"answers"``, or a decoder that writes; on any backend.
        questions: a question and its document as a tuple, or several.
        no_answer: whether there may be none: where that is more probable than every span, or where
            a decoder says so.
        longest: the most tokens of an answer.
        batch: how many windows are computed at once, or answers written.

    Raises:
        InputError: no question, one without a document or too long, or a model that can't answer.
    """
    lone = isinstance(questions, tuple)
    require_flag("no_answer", no_answer)
    require_count("longest", longest)
    find = _written if _writes(model) else _found
    if find is _found:
        task_head(model, "span", "answers")
    answers: list[Answer] = []
    for several in in_batches([questions] if lone else questions, batch, "question"):
        for question in several:
            _check(question)
        answers += find(model, several, longest, batch, may_fail=no_answer)
    return answers[0] if lone else Answers(answers)


def _check(question: object) -> None:
    texts = isinstance(question, tuple) and len(question) == _PAIR
    if not texts or not all(isinstance(text, str) and text.strip() for text in question):  # type: ignore[attr-defined]  # a tuple
        raise InputError(f"expected a question and its document as a tuple, got {shown(question)}")


def _writes(model: LanguageModel) -> bool:
    config = model.config
    predicts = config.head is not None and config.head.pooling == "none" and not config.head.task
    return config.decoder is not None and config.encoder is None and predicts


def _found(
    model: LanguageModel, several: Sequence[Question], longest: int, batch: int, *, may_fail: bool
) -> list[Answer]:
    """Spans of the documents."""
    best: list[Answer | None] = [None] * len(several)
    nothing = [1.0] * len(several)
    windows = [
        (i, *window)
        for i, one in enumerate(several)
        for window in question_windows(model.tokenizer, one, context_of(model))
    ]
    for _, window, _ in windows:
        check_ids(model.config, window.ids)
    for part in in_batches(windows, batch, "window"):
        logits = forward_rows(model, [(w.ids, w.segments) for _, w, _ in part])
        for (i, window, cls), row in zip(part, logits, strict=True):
            found, none = best_span(several[i], window, cls, row, longest)
            nothing[i] = min(nothing[i], none)
            before = best[i]
            best[i] = found if before is None or found.score > before.score else before
    return [
        _judge(one, none, may_fail=may_fail)
        for one, none in zip(best, nothing, strict=True)
        if one is not None
    ]


def _judge(best: Answer, nothing: float, *, may_fail: bool) -> Answer:
    if may_fail and nothing > best.score:
        return Answer(best.question, "", nothing, no_answer=nothing)
    return Answer(best.question, best.text, best.score, best.start, best.end, nothing)


def question_windows(
    tokenizer: Tokenizer, question: Question, context: int
) -> Iterator[tuple[Sentence, int]]:
    """The windows of a question's document, each with the position that stands for no answer.

    That is the token ``[CLS]``, or the first one.
    """
    size, cls = min(_WINDOW, context), tokenizer.cls_id
    try:
        overlap = min(_OVERLAP, size // 2)
        for window in sentence_windows(tokenizer, question, size, overlap=overlap):
            yield window, window.ids.index(cls) if cls in window.ids else 0
    except InputError as error:
        raise InputError(f"{shown(question[0])}: {error}") from error


def best_span(
    question: Question, window: Sentence, cls: int, logits: NDArray[np.float64], longest: int
) -> tuple[Answer, float]:
    """The likeliest span of a window, and how probable it is that there is none.

    Args:
        question: the question and its document.
        window: of the document.
        cls: the position that stands for no answer.
        logits: ``(time, 2)``, of each position as the start and as the end.
        longest: most tokens of a span.
    """
    inside = np.array([text == 1 for text, _, _ in window.places])
    open_ = inside.copy()
    open_[cls] = True
    starts, ends = (
        probabilities(np.where(open_, logits[: len(open_), side], -np.inf)) for side in (0, 1)
    )
    none = float(starts[cls] * ends[cls])
    scores = np.outer(starts * inside, ends * inside)
    scores = np.tril(np.triu(scores), longest - 1)
    first, last = divmod(int(scores.argmax()), len(scores))
    _, start, _ = window.places[first]
    _, _, end = window.places[last]
    document = question[1]
    # some tokenizers count the space before a word to its token
    start += len(document[start:end]) - len(document[start:end].lstrip())
    text = document[start:end].rstrip()
    score = float(scores[first, last])
    return Answer(question[0], text, score, start, start + len(text)), none


def _written(
    model: LanguageModel, several: Sequence[Question], longest: int, batch: int, *, may_fail: bool
) -> list[Answer]:
    """What a decoder writes."""
    del batch  # as many as came
    tokenizer, chats = model.tokenizer, model.tokenizer.chat_template is not None
    prompts = []
    for question, document in several:
        asked = _ASKED.format(question=question, document=document)
        text = (
            tokenizer.chat([{"role": "user", "content": asked}]) if chats else f"{asked}\nAnswer:"
        )
        prompts.append(tokenizer.encode(text, special_tokens=not chats))
    stop = () if chats else ("\n",)
    made = model.generate_batch(prompts, max_new_tokens=longest, stop=stop)
    return [
        _read(question, document, str(one).strip(), one.log_probs, may_fail=may_fail)
        for (question, document), one in zip(several, made, strict=True)
    ]


def _read(
    question: str, document: str, text: str, log_probs: Sequence[float], *, may_fail: bool
) -> Answer:
    score = math.exp(sum(log_probs))
    if may_fail and text.strip(" \"'.").lower() == _NOTHING:
        return Answer(question, "", score)
    start = document.find(text) if text else -1
    place = (None, None) if start < 0 else (start, start + len(text))
    return Answer(question, text, score, *place)
