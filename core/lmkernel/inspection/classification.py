"""The classes of texts, under a model that was fine-tuned to tell them apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.arguments import require_flag
from lmkernel.errors import InputError
from lmkernel.inspection.sentence_rows import (
    forward_rows,
    in_batches,
    label_names,
    probabilities,
    text_row,
)
from lmkernel.results import Line, Lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel.config import HeadConfig
    from lmkernel.inspection.sentence_rows import Text
    from lmkernel.language_model import LanguageModel

__all__ = [
    "Classification",
    "Classifications",
    "classifier",
    "classify",
    "has_several_labels",
    "plain_scores",
]


def plain_scores(label: str, scores: Mapping[str, float]) -> dict[str, Any]:
    """The label, its score and all scores, rounded to six digits, as plain values."""
    rounded = {name: round(score, 6) for name, score in scores.items()}
    return {"label": label, "score": rounded[label], "scores": rounded}


@final
@dataclass(frozen=True)
class Classification(Line):
    """The class of a text.

    Args:
        text: the text, or the pair of texts.
        label: of the class with the highest score.
        scores: the probability of each class by its label, in the model's order.
    """

    text: Text
    label: str
    scores: Mapping[str, float]

    @property
    def score(self) -> float:
        """The highest score."""
        return self.scores[self.label]

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        text = self.text if isinstance(self.text, str) else list(self.text)
        return {"text": text, **plain_scores(self.label, self.scores)}

    def cells(self) -> dict[str, str]:
        """Its row in a table."""
        return {"LABEL": self.label, "SCORE": f"{self.score:.4f}", "TEXT": str(self.text)}


@final
class Classifications(Lines[Classification]):
    """The classes of several texts, in their order."""


def classify(
    model: LanguageModel,
    texts: Text | Sequence[Text],
    *,
    batch: int = 32,
    truncate: bool = False,
) -> Classification | Classifications:
    """The class of each text, with the probability of every class.

    Args:
        model: fine-tuned by the objective ``"classification"``, on any backend.
        texts: a text, a pair of texts as a tuple, or several of either.
        batch: how many are computed at once.
        truncate: cut what is longer than the tokenizer says (``model_max_length``), or than the
            context, of a pair the longer text first.

    Returns:
        Labels are those of the model's ``id2label``. Scores are a softmax over the classes; where
        ``problem_type`` says that a text may have several labels, or there is one class, each is a
        sigmoid.

    Raises:
        InputError: no text, one longer than the context, or a model that tells no classes apart.
    """
    require_flag("truncate", truncate)
    head = classifier(model)
    if isinstance(texts, str | tuple):
        return _classify(model, head, [texts], truncate=truncate)[0]
    found: list[Classification] = []
    for several in in_batches(texts, batch, "text"):
        found += _classify(model, head, several, truncate=truncate)
    return Classifications(found)


def classifier(model: LanguageModel) -> HeadConfig:
    """The head that tells classes apart; `InputError` if there is none."""
    head, kind = model.config.head, model.origin.described.values.get("problem_type")
    if head is None or head.pooling == "none" or head.task or head.activation != "none":
        raise InputError(
            "expected a model that was fine-tuned by the objective classification, got a "
            f"{model.origin.model_type} model that is not"
        )
    if kind == "regression":
        raise InputError("expected a model that tells classes apart, got one of regression")
    return head


def has_several_labels(model: LanguageModel, head: HeadConfig) -> bool:
    """Whether each class is judged by itself: by ``problem_type``, or as there is one."""
    kind = model.origin.described.values.get("problem_type")
    return kind == "multi_label_classification" or head.size == 1


def _classify(
    model: LanguageModel, head: HeadConfig, texts: Sequence[Any], *, truncate: bool
) -> list[Classification]:
    rows = [text_row(model, text, truncate=truncate) for text in texts]
    scores = probabilities(forward_rows(model, rows), each=has_several_labels(model, head))
    names = label_names(model, head)
    return [
        Classification(text, names[int(row.argmax())], dict(zip(names, row.tolist(), strict=True)))
        for text, row in zip(texts, scores, strict=True)
    ]
