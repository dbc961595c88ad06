"""The honest errors of all cases, measured once and kept in a file of the suite.

Measuring takes sixteen runs of a formula, checking that it still is the same formula takes one.

    python -m lmkernel_conformance.kept

measures them anew, on the cases as they are now, and writes the file.

Constraints: an error is kept with four binary digits, rounded up, so what is allowed depends on the
suite alone, not on the machine. It counts only where the references are those that it was measured
with: for other inputs, or another formula, errors are measured on the spot.
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel_conformance.budget import Budget

__all__ = ["FILE", "KeptErrors", "kept_errors", "main"]

FILE = Path(__file__).with_name("honest_errors.npz")

Host = Any
Key = tuple[str, str, str]

_CUT = np.uint64(49)
"""Of a float64 the upper bits stay: the exponent and three binary digits after the point."""
_LARGEST = 200_000
"""A comparison of more elements is measured each time, rather than make the file large: these are
element-wise updates of large arrays, which take next to no time."""


@final
class KeptErrors:
    """Honest errors of all results, by case, dtype and comparison.

    Args:
        index: for each key, a pair ``[size, probe]`` for each result.
        codes: the errors of all results, one after the other, in 16 bits each.
    """

    def __init__(self, index: Mapping[str, Sequence[Sequence[Any]]], codes: Host) -> None:
        self._index, self._codes = index, codes
        sizes = [sum(size for size, _ in results) for results in index.values()]
        self._starts = dict(zip(index, np.cumsum([0, *sizes]).tolist(), strict=False))

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 of the content, which names what is allowed."""
        text = json.dumps(self._index, sort_keys=True).encode()
        return hashlib.sha256(text + self._codes.astype("<u2").tobytes()).hexdigest()

    def find(self, key: Key, references: Sequence[Host]) -> list[Host] | None:
        """The errors of each result, or None where none were measured with these references."""
        name = _name(key)
        results, start, found = self._index.get(name), self._starts.get(name, 0), []
        if results is None or len(results) != len(references):
            return None
        for (size, probe), want in zip(results, references, strict=True):
            errors = _decode(self._codes[start : start + want.size])
            start += want.size
            weights = _weights(want.size)
            # Another machine may round the reference otherwise, but by less than is honest.
            near = float(np.sum(errors * weights)) + float(np.finfo(float).tiny)
            if size != want.size or not abs(_probe(want) - float.fromhex(probe)) <= near:
                return None
            found.append(errors.reshape(want.shape))
        return found


def encode(known: Mapping[Key, Sequence[Budget]]) -> tuple[dict[str, Any], Host]:
    """Index and codes of measured budgets.

    Raises:
        ValueError: an honest error is not finite, so the case has inputs that overflow.
    """
    index: dict[str, Any] = {}
    codes = []
    for key, limits in sorted(known.items()):
        if sum(limit.honest.size for limit in limits) > _LARGEST:
            continue
        if not all(np.isfinite(limit.honest).all() for limit in limits):
            raise ValueError(f"{_name(key)}: an honest implementation overflows")
        index[_name(key)] = [[x.reference.size, _probe(x.reference).hex()] for x in limits]
        codes += [_encode(limit.honest) for limit in limits]
    return index, np.concatenate(codes)


def _name(key: Key) -> str:
    return "|".join(key)


def _encode(errors: Host) -> Host:
    bits = np.ascontiguousarray(errors, np.float64).ravel().view(np.uint64)
    rest = bits & ((np.uint64(1) << _CUT) - np.uint64(1))
    return ((bits >> _CUT) + (rest > 0)).astype(np.uint16)


def _decode(codes: Host) -> Host:
    return (codes.astype(np.uint64) << _CUT).view(np.float64)


def _probe(want: Host) -> float:
    """A sum of all elements that changes with each of them, and with their order."""
    flat = np.where(np.isfinite(want), want, 0.0).ravel()
    return float(np.sum(flat * _weights(flat.size)))


def _weights(size: int) -> Host:
    return 1 + (7 * np.arange(size) % 11) / 16


@functools.cache
def kept_errors(path: Path = FILE) -> KeptErrors:
    """The errors in the suite's file; none if there is no file."""
    if not path.exists():
        return KeptErrors({}, np.zeros(0, np.uint16))
    with np.load(path, allow_pickle=False) as content:
        return KeptErrors(json.loads(content["index"].tobytes()), content["codes"])


def main(path: Path = FILE) -> None:
    """Measure all cases on the default backend and write the file."""
    from lmkernel.backend import load_backend
    from lmkernel_conformance.cases import CASES, items
    from lmkernel_conformance.levels import levels_of
    from lmkernel_conformance.runner import attempt
    from lmkernel_conformance.subject import Subject

    subject = Subject(backend=load_backend("numpy"), kept=KeptErrors({}, np.zeros(0, np.uint16)))
    declared = subject.backend.capabilities.dtypes
    levels = levels_of(distributes=False)  # those of one process are measured where they run
    for item in items(CASES.values(), profile="full", levels=levels, declared=declared):
        error = attempt(subject, item).error
        if error is not None:
            raise error
    index, codes = encode(subject.known)
    text = np.frombuffer(json.dumps(index).encode(), np.uint8)
    np.savez_compressed(path, index=text, codes=codes)


if __name__ == "__main__":
    main()
