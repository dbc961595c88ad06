"""The classes of texts, under a model that was fine-tuned to tell them apart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final, overload

import numpy as np

from lmkernel.errors import InputError
from lmkernel.inspection.inputs import check_ids
from lmkernel.results import Paint, Result, plain
from lmkernel.tokenizers.sentences import sentence_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmkernel.config import HeadConfig
    from lmkernel.language_model import LanguageModel

    Text = str | tuple[str, str]
    Rows = list[tuple[list[int], list[int]]]

__all__ = ["Classification", "Classifications", "classify"]

_PAIR = 2


@final
@dataclass(frozen=True)
class Classification:
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
        rounded = {label: round(score, 6) for label, score in self.scores.items()}
        text = self.text if isinstance(self.text, str) else list(self.text)
        return {"text": text, "label": self.label, "score": rounded[self.label], "scores": rounded}

    def __str__(self) -> str:
        return json.dumps(self.json(), ensure_ascii=False)


@final
class Classifications(Result, Sequence[Classification]):
    """The classes of several texts, in their order.

    Args:
        found: one for each.
    """

    def __init__(self, found: Sequence[Classification]) -> None:
        self._found = list(found)

    @overload
    def __getitem__(self, index: int) -> Classification: ...
    @overload
    def __getitem__(self, index: slice) -> list[Classification]: ...
    def __getitem__(self, index: int | slice) -> Classification | list[Classification]:
        return self._found[index]

    def __len__(self) -> int:
        return len(self._found)

    def rows(self) -> list[list[str]]:
        """Its table."""
        found = ([one.label, f"{one.score:.4f}", str(one.text)] for one in self)
        return [["LABEL", "SCORE", "TEXT"], *found]

    def json(self) -> list[dict[str, Any]]:
        """The same as plain values."""
        return [one.json() for one in self]

    def text(self, paint: Paint = plain) -> str:
        """A JSON object a line."""
        del paint
        return "\n".join(map(str, self))


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
        truncate: cut what is longer than the context, of a pair the longer text first.

    Returns:
        Labels are those of the model's ``id2label``. Scores are a softmax over the classes; where
        ``problem_type`` says that a text may have several labels, or there is one class, each is a
        sigmoid.

    Raises:
        InputError: no text, one longer than the context, or a model that tells no classes apart.
    """
    head = _classifier(model)
    if isinstance(texts, str | tuple):
        return _classify(model, head, [texts], truncate=truncate)[0]
    given: list[Any] = list(texts) if isinstance(texts, Iterable) else []  # type: ignore[redundant-expr]  # whatever a program passes
    if not given or batch < 1:
        raise InputError(
            f"expected one text or more in batches of 1 or more, got {texts!r:.60} and {batch}"
        )
    found: list[Classification] = []
    for begin in range(0, len(given), batch):
        found += _classify(model, head, given[begin : begin + batch], truncate=truncate)
    return Classifications(found)


def _classifier(model: LanguageModel) -> HeadConfig:
    """The head that tells classes apart."""
    head, kind = model.config.head, model.origin.described.values.get("problem_type")
    if head is None or head.pooling == "none" or head.task or head.activation != "none":
        raise InputError(
            "expected a model that was fine-tuned by the objective classification, got a "
            f"{model.origin.model_type} model that is not"
        )
    if kind == "regression":
        raise InputError("expected a model that tells classes apart, got one of regression")
    return head


def _classify(
    model: LanguageModel, head: HeadConfig, texts: Sequence[Any], *, truncate: bool
) -> list[Classification]:
    context = model.config.context or 1 << 30
    rows: Rows = []
    for text in texts:
        parts = [text] if isinstance(text, str) else list(text) if isinstance(text, tuple) else []
        if not 1 <= len(parts) <= _PAIR or not all(isinstance(part, str) for part in parts):
            raise InputError(f"expected a text, or a pair of texts as a tuple, got {text!r:.60}")
        try:
            rows.append(sentence_ids(model.tokenizer, parts, context, truncate=truncate))
        except InputError as error:
            raise InputError(f"{text!r:.60}: {error}") from error
        check_ids(model.config, rows[-1][0])
    several = model.origin.described.values.get("problem_type") == "multi_label_classification"
    scores = _probabilities(_logits(model, rows), each=several or head.size == 1)
    names = head.labels or model.origin.labels or [f"LABEL_{n}" for n in range(head.size)]
    return [
        Classification(text, names[int(row.argmax())], dict(zip(names, row.tolist(), strict=True)))
        for text, row in zip(texts, scores, strict=True)
    ]


def _logits(model: LanguageModel, rows: Rows) -> NDArray[np.float64]:
    """``(rows, classes)``."""
    own, backend = model.model, model.backend
    # a compiled backend gets the few lengths that prompts have
    time = own.slots(max(len(ids) for ids, _ in rows))
    inputs, positions, segments = (
        np.full((len(rows), time), fill, np.int32) for fill in (0, -1, 0)
    )
    for i, (ids, parts) in enumerate(rows):
        inputs[i, : len(ids)], segments[i, : len(ids)] = ids, parts
        positions[i, : len(ids)] = np.arange(len(ids))
    with backend.scope(), backend.inference():
        x, where, which = (
            backend.ops.asarray(array, "int32") for array in (inputs, positions, segments)
        )
        output = own.forward(model.params, x, positions=where, segments=which)
        return backend.ops.to_numpy(output).astype(np.float64)


def _probabilities(logits: NDArray[np.float64], *, each: bool) -> NDArray[np.float64]:
    """A softmax over the classes, or a sigmoid of each."""
    if each:
        return np.exp(-np.logaddexp(0, -logits))
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    whole: NDArray[np.float64] = shifted / shifted.sum(-1, keepdims=True)
    return whole
