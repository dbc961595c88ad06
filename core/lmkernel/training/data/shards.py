"""Documents as tokens on disk: made once, then mapped into memory.

Constraints: a folder of the cache holds what one tokenizer makes of one list of documents, and is
named by the hash of both, so that it is never out of date; it appears whole or not at all; two
processes never make it at once; each file carries its hash, and is read again before it is used.
A folder holds ``index.json``; ``documents.bin``, the tokens and bytes of each document; and
``tokens-….bin``, each of whole documents, after each of which comes one token that ends it; all
little-endian.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.json_files import read_object
from lmkernel.errors import CheckpointError
from lmkernel.training.data.order import digest_of
from lmkernel.training.data.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["DOCUMENTS", "FORMAT", "INDEX", "Shards", "file_hash", "open_shards"]

FORMAT = 1
INDEX = "index.json"
DOCUMENTS = "documents.bin"
_CHUNK = 1 << 20


@final
@dataclass(frozen=True, eq=False)
class Shards:
    """Tokenised documents.

    Args:
        arrays: the tokens, shard by shard.
        spans: ``(documents, 3)``: the shard, first and end of each document, its end token too.
        sizes: ``(documents,)``: bytes of UTF-8 of each.
        digest: of documents and tokenizer.
        highest: the highest token.
    """

    arrays: tuple[NDArray[Any], ...]
    spans: NDArray[np.int64]
    sizes: NDArray[np.int64]
    digest: str
    highest: int

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each document."""
        lengths: NDArray[np.int64] = self.spans[:, 2] - self.spans[:, 1]
        return lengths

    def tokens(self, documents: NDArray[np.int64] | None = None) -> Tokens:
        """The tokens of some documents, by rising number, or of all."""
        chosen = np.arange(len(self.spans)) if documents is None else documents
        return Tokens(
            self.arrays,
            _join_neighbours(self.spans[chosen]),
            digest=digest_of(self.digest, chosen.astype("<i8")),
            highest=self.highest,
            text_bytes=int(self.sizes[chosen].sum()),
        )


def _join_neighbours(spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """Documents that lie next to each other as one piece, which is read in one copy."""
    same = (spans[1:, 0] == spans[:-1, 0]) & (spans[1:, 1] == spans[:-1, 2])
    first = np.flatnonzero(np.concatenate([[True], ~same]))
    last = np.append(first[1:], len(spans)) - 1
    return np.stack([spans[first, 0], spans[first, 1], spans[last, 2]], 1)


def open_shards(folder: Path) -> Shards:
    """What `write_shards` wrote.

    Raises:
        CheckpointError: a file is missing, or is not what was written; names it.
    """
    index = read_object(folder / INDEX, required=True)
    if index.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder / INDEX}: expected format {FORMAT}, got {index.get('format')!r}"
        )
    try:
        return _map_files(folder, index)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{folder / INDEX}: expected an index, missing {error}") from error


def _map_files(folder: Path, index: Mapping[str, Any]) -> Shards:
    for name, expected in {DOCUMENTS: index["documents"], **index["shards"]}.items():
        _check(folder / name, expected)
    lengths, sizes = np.fromfile(folder / DOCUMENTS, "<i8").reshape(-1, 2).T
    arrays = [np.asarray(np.memmap(folder / n, index["dtype"], "r")) for n in index["shards"]]
    spans = _locate(lengths, arrays)
    return Shards(tuple(arrays), spans, sizes, index["digest"], index["highest"])


def _locate(lengths: NDArray[np.int64], arrays: list[NDArray[Any]]) -> NDArray[np.int64]:
    """Where each document lies; shards end where documents end."""
    ends = np.cumsum(lengths)
    limits = np.cumsum([array.size for array in arrays])
    shard = np.searchsorted(limits, ends)
    before = np.concatenate([[0], limits])[shard]
    return np.stack([shard, ends - lengths - before, ends - before], 1)


def _check(path: Path, expected: Mapping[str, Any]) -> None:
    """Size first: a file cut short is the likeliest damage, and is seen without reading it."""
    try:
        size = path.stat().st_size
        whole = size == expected["bytes"] and file_hash(path) == expected["blake2b"]
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    if not whole:
        what = f"{size} bytes" if size != expected["bytes"] else "other content"
        raise CheckpointError(
            f"{path}: expected the {expected['bytes']} bytes that were written, got {what}"
        )


def file_hash(path: Path) -> str:
    """Hexadecimal BLAKE2b-128 of a file."""
    state = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()
