"""The log-probabilities of the tokens of several rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.generation.likelihood import log_prob
from lmkernel.inspection.inputs import check_ids
from lmkernel.inspection.outputs import check_finite, last_hidden_states
from lmkernel.inspection.scoring import check_predicts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.language_model import LanguageModel

__all__ = ["row_log_probs"]

_CHUNK = 256
"""So many positions' logits are on the host at once."""


def row_log_probs(
    model: LanguageModel, rows: Sequence[Sequence[int]], first: int = 1
) -> list[NDArray[np.float64]]:
    """The log-probability of each token of several rows at once, from the number ``first`` on.

    Args:
        model: that predicts each token from those before, on any backend.
        rows: ids, of unequal length or not.
        first: 1 or more.
    """
    check_predicts(model)
    for ids in rows:
        check_ids(model.model.config, ids)
    values: list[list[float]] = [[] for _ in rows]
    for begin, logits in _logits(model, rows, first - 1):
        for ids, own, found in zip(rows, logits, values, strict=True):
            there = zip(own, ids[begin + 1 :], strict=False)
            found += [log_prob(row.astype(np.float64), token) for row, token in there]
    return [np.array(found, np.float64) for found in values]


def _logits(
    model: LanguageModel, rows: Sequence[Sequence[int]], first: int
) -> Iterator[tuple[int, list[NDArray[Any]]]]:
    """Positions from ``first`` on, some at a time: the first of them, and each row's logits."""
    own, params, backend = model.model, model.params, model.model.backend
    # the last token predicts nothing that is known
    lengths = np.array([len(ids) - 1 for ids in rows])
    ids = np.zeros((len(rows), lengths.max()), np.int32)
    for line, row in zip(ids, rows, strict=True):
        line[: len(row) - 1] = row[:-1]
    places = np.arange(ids.shape[1], dtype=np.int32)
    positions = np.where(places < lengths[:, None], places, -1).astype(np.int32)
    with backend.scope(), backend.inference():
        embedded = own.embed(params, *(backend.ops.asarray(x, "int32") for x in (ids, positions)))
        hidden = last_hidden_states(own, params, embedded)
    step = max(1, _CHUNK // len(rows))
    for begin in range(first, ids.shape[1], step):
        part = slice(begin, begin + step)
        with backend.scope(), backend.inference():
            output = own.output(params, hidden[:, part], embedded.positions[:, part])
            host = backend.ops.to_numpy(output)
        real = [x[: max(0, n - begin)] for x, n in zip(host, lengths, strict=True)]
        for logits in real:
            check_finite(model, logits, "logits")
        yield begin, real
