"""The log-probabilities that ``llama-perplexity --kl-divergence-base`` of llama.cpp writes.

After ``_logits_`` come three int32 (positions of a chunk, tokens of the vocabulary, chunks), ids
of all chunks, and for each position of the second half of a chunk but the last one a record: a step
and the lowest log-probability in float32, then one uint16 for each token, the number of steps above
the lowest. What is more than 16 below the likeliest is the lowest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError, SubjectError
from lmkernel.verification.subject import Answer, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel.verification.sequences import Question
    from lmkernel.verification.subject import Opening

__all__ = ["KlBaseSubject", "is_kl_base"]

_MAGIC, _HEADER, _NUMBERS = b"_logits_", 20, 4
_OPTIONS = ("chunks", "bos")


def is_kl_base(path: Path) -> bool:
    """Whether a file begins as one of these."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


@final
class KlBaseSubject(Subject):
    """``file:PATH`` of such a file.

    Options: ``chunks``, how many are compared, by default the first alone; ``bos``, the id that
    llama.cpp puts in place of the first of each chunk, where the tokenizer begins with one.
    """

    def __init__(self, opening: Opening, path: Path) -> None:
        if strange := set(opening.options) - set(_OPTIONS):
            expected = " and ".join(_OPTIONS)
            raise InputError(f"{path}: expected the options {expected}, got {min(strange)!r}")
        self._numbers = {n: _whole(n, x) for n, x in opening.options.items()}
        self._context, self._ids, self._records = _read(path)
        self._asked = min(self._numbers.get("chunks", 1), len(self._ids))
        if "bos" in self._numbers:
            self._ids[:, 0] = self._numbers["bos"]

    def own_rows(self) -> list[list[int]]:
        """The chunks that are compared, without the last token, after which nothing is said."""
        rows: list[list[int]] = self._ids[: self._asked, :-1].tolist()
        return rows

    def answer(self, question: Question, *, activations: bool) -> Answer:
        del activations
        [row] = question.rows
        number = self.own_rows().index(list(row.ids))
        first, vocab = self._context // 2, self._records.shape[-1] - _NUMBERS
        records = np.ascontiguousarray(self._records[number])
        step, lowest = (records[:, i : i + 2].copy().view("<f4") for i in (0, 2))
        values = np.full((1, len(row.ids), vocab), np.nan, np.float32)
        values[0, first:] = records[:, _NUMBERS:] * step + lowest
        steps = np.zeros((1, len(row.ids)), np.float32)
        steps[0, first:] = step[:, 0]
        return Answer(values, "log_probs", first=first, step=steps)

    def versions(self) -> Mapping[str, str]:
        """How much of the file is compared."""
        return {"chunks": f"{self._asked} of {len(self._ids)}"}


def _read(path: Path) -> tuple[int, NDArray[np.int32], NDArray[Any]]:
    """The positions of a chunk, the ids ``(chunks, positions)``, and the records of each chunk."""
    size = path.stat().st_size
    header = (
        np.fromfile(path, "<i4", 3, offset=len(_MAGIC)) if size >= _HEADER else np.zeros(3, int)
    )
    context, vocab, chunks = (int(x) for x in header)
    said = context - 1 - context // 2
    width = 2 * ((vocab + 1) // 2) + _NUMBERS
    whole = _HEADER + chunks * (4 * context + 2 * said * width)
    if min(context - 1, vocab, chunks) < 1 or size != whole:
        got = f"{chunks} chunks of {context} positions and {vocab} tokens in {size} bytes"
        raise SubjectError(f"{path}: expected log-probabilities of llama.cpp, got {got}")
    ids = np.fromfile(path, "<i4", chunks * context, offset=_HEADER).reshape(chunks, context)
    begin = _HEADER + ids.nbytes
    records = np.memmap(path, "<u2", "r", begin, (chunks, said, width))
    return context, ids, records[..., : vocab + _NUMBERS]


def _whole(name: str, text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"option {name!r}: expected a number, got {text!r}")
    return int(text)
