"""How near written texts are to right ones, by the libraries that papers quote.

BLEU and chrF are sacreBLEU's (arXiv:1804.08771) with its defaults, ROUGE is rouge-score's, the word
error rate of speech jiwer's.
"""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.arguments import require_known
from lmkernel.errors import InputError, MissingDependencyError
from lmkernel.results import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Scores", "score_texts"]


@final
class Scores(Result):
    """The scores of texts by metric, 0 to 100; a word error rate is best at 0, and may be more.

    Args:
        values: by the metric's name.
        count: number of texts.
    """

    def __init__(self, values: Mapping[str, float], count: int) -> None:
        self._values, self._count = dict(values), count

    def __getitem__(self, metric: str) -> float:
        return self._values[metric]

    def rows(self) -> list[list[str]]:
        """Its table."""
        return [["METRIC", "SCORE"], *([name, f"{x:.2f}"] for name, x in self._values.items())]

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {**{n: round(x, 4) for n, x in self._values.items()}, "texts": self._count}


def score_texts(
    texts: Sequence[str], references: Sequence[str], metrics: Sequence[str] = ()
) -> Scores:
    """The scores of texts beside one reference each.

    Args:
        texts: what was written.
        references: what is right, in the same order.
        metrics: ``"bleu"``, ``"chrf"``, ``"rouge1"``, ``"rouge2"``, ``"rougeL"`` or ``"wer"``; by
            default the first two.

    Raises:
        InputError: none, or not as many references as there are texts.
        UnknownNameError: a metric that there is none of.
        MissingDependencyError: the library that computes it is not installed.
    """
    if not texts or len(texts) != len(references):
        raise InputError(
            f"expected one reference for each of one text or more, got {len(texts)} texts and "
            f"{len(references)} references"
        )
    asked = list(metrics) or ["bleu", "chrf"]
    for name in asked:
        require_known("metric", name, _METRICS)
    return Scores({name: _METRICS[name](name, texts, references) for name in asked}, len(texts))


def _sacrebleu(name: str, texts: Sequence[str], references: Sequence[str]) -> float:
    library = _library("sacrebleu", "sacrebleu")
    found = getattr(library, f"corpus_{name}")(list(texts), [list(references)])
    return float(found.score)


def _rouge(name: str, texts: Sequence[str], references: Sequence[str]) -> float:
    scorer = _library("rouge_score.rouge_scorer", "rouge-score").RougeScorer([name])
    pairs = zip(references, texts, strict=True)
    found = [scorer.score(right, written)[name].fmeasure for right, written in pairs]
    return float(100 * sum(found) / len(found))


def _error_rate(name: str, texts: Sequence[str], references: Sequence[str]) -> float:
    if not all(text.split() for text in references):
        raise InputError("expected references of a word or more, got an empty one")
    return float(100 * getattr(_library("jiwer", "jiwer"), name)(list(references), list(texts)))


def _library(module: str, distribution: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"{distribution} is not installed; run: pip install 'lmkernel[metrics]'"
        ) from error


_METRICS: Mapping[str, Callable[[str, Sequence[str], Sequence[str]], float]] = MappingProxyType(
    {
        "bleu": _sacrebleu,
        "chrf": _sacrebleu,
        "rouge1": _rouge,
        "rouge2": _rouge,
        "rougeL": _rouge,
        "wer": _error_rate,
    }
)
"""By name, each with what computes it."""
