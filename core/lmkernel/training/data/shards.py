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
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.json_files import read_object
from lmkernel.checkpoints.memory_map import map_file
from lmkernel.errors import CheckpointError
from lmkernel.files import open_regular
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
_DTYPES = ("<u2", "<u4")
_SHARD = re.compile(r"tokens-\d{5,}\.bin")
_RECORD = 16  # bytes of a document's two numbers


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
    if not _is_index(index):
        raise CheckpointError(f"{folder / INDEX}: expected an index of shards")
    for name, written in {DOCUMENTS: index["documents"], **index["shards"]}.items():
        _check(folder / name, written)
    return _map_files(folder, index)


def _is_index(index: Mapping[str, Any]) -> bool:
    """Whether all that is read of an index is there and of its type."""
    shards = index.get("shards")
    if not isinstance(shards, dict) or not shards:
        return False
    receipts = [index.get("documents"), *shards.values()]
    return (
        index.get("dtype") in _DTYPES
        and isinstance(index.get("digest"), str)
        and type(index.get("highest")) is int
        and all(_SHARD.fullmatch(name) for name in shards)
        and all(
            isinstance(one, dict) and type(one.get("bytes")) is int and one["bytes"] > 0
            for one in receipts
        )
    )


def _map_files(folder: Path, index: Mapping[str, Any]) -> Shards:
    documents = map_file(folder / DOCUMENTS)
    raw = [map_file(folder / name) for name in index["shards"]]
    size = np.dtype(index["dtype"]).itemsize
    if len(documents) % _RECORD or any(len(data) % size for data in raw):
        raise CheckpointError(f"{folder / INDEX}: expected files of whole records, got others")
    lengths, sizes = documents.view("<i8").reshape(-1, 2).T
    arrays = [data.view(index["dtype"]) for data in raw]
    _check_lengths(folder, lengths, sizes, arrays)
    if max(int(array.max()) for array in arrays) > index["highest"]:
        raise CheckpointError(f"{folder / INDEX}: expected no token above {index['highest']}")
    spans = _locate(lengths, arrays)
    return Shards(tuple(arrays), spans, sizes, index["digest"], index["highest"])


def _check_lengths(
    folder: Path, lengths: NDArray[Any], sizes: NDArray[Any], arrays: list[NDArray[Any]]
) -> None:
    """Documents have tokens, and shards end where documents end."""
    limits = np.cumsum([array.size for array in arrays])
    sound = lengths.min() > 0 and sizes.min() >= 0 and lengths.max() <= limits[-1]
    ends = np.cumsum(lengths) if sound else lengths
    if not sound or ends[-1] != limits[-1] or not np.isin(limits, ends).all():
        raise CheckpointError(f"{folder / DOCUMENTS}: expected the shards' documents")


def _locate(lengths: NDArray[np.int64], arrays: list[NDArray[Any]]) -> NDArray[np.int64]:
    """Where each document lies."""
    ends = np.cumsum(lengths)
    limits = np.cumsum([array.size for array in arrays])
    shard = np.searchsorted(limits, ends)
    before = np.concatenate([[0], limits])[shard]
    return np.stack([shard, ends - lengths - before, ends - before], 1)


def _check(path: Path, expected: Mapping[str, Any]) -> None:
    """Size first: a file cut short is the likeliest damage, and is seen without reading it."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
    if size != expected["bytes"] or file_hash(path) != expected.get("blake2b"):
        what = f"{size} bytes" if size != expected["bytes"] else "other content"
        raise CheckpointError(
            f"{path}: expected the {expected['bytes']} bytes that were written, got {what}"
        )


def file_hash(path: Path) -> str:
    """Hexadecimal BLAKE2b-128 of a file."""
    state = hashlib.blake2b(digest_size=16)
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()
