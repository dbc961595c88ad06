"""Documents to token shards: tokenised in chunks on all cores, written as they come.

Constraint: neither the documents nor their tokens need fit into memory, so the documents are gone
through twice: once for the hash that names the shards, and once more only if these are missing. A
document of millions of characters, such as a corpus in one file, is tokenised in parts.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, final

import numpy as np

from lmkernel.atomic import hold, new_directory
from lmkernel.checkpoints.json_files import write_object
from lmkernel.errors import CheckpointError, InputError
from lmkernel.progress import Progress
from lmkernel.sources.home import writable_folder
from lmkernel.training.data.openings import with_end, with_opening
from lmkernel.training.data.order import digest_of
from lmkernel.training.data.shards import (
    DOCUMENTS,
    FORMAT,
    INDEX,
    Shards,
    file_hash,
    open_shards,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from lmkernel.tokenizers import Tokenizer

__all__ = ["token_shards", "write_shards"]

_SHARD_TOKENS = 1 << 26
_CHUNK = 1_000_000
_LONG = 4_000_000
"""Characters of a document that is tokenised at once; the library takes 100 bytes for each."""
_SMALL = 1 << 16


def token_shards(
    documents: Iterable[str],
    tokenizer: Tokenizer,
    *,
    end: int | None = None,
    begin: Sequence[int] = (),
    progress: Progress | None = None,
) -> Shards:
    """The tokens of documents: from the cache below ``LMKERNEL_HOME``, or made and put there.

    Args:
        documents: texts that can be gone through twice.
        tokenizer: without special tokens around a text.
        end: the token that ends each document; by default the tokenizer's that ends a text, or
            else its ``sep_token``. A document that has one at its end already gets no other.
        begin: what each document begins with; what it has already is not put before it again.
        progress: shows the work, and says what damage is repaired.

    Raises:
        InputError: no documents, documents that come only once, a tokenizer without an end token.
        CheckpointError: the cache cannot be written.
    """
    progress, ends = progress or Progress(), _ends(tokenizer, end)
    content, size = _content(documents)
    key = digest_of(FORMAT, content, tokenizer.digest, ends, [*begin])
    folder = writable_folder("tokens", CheckpointError) / key
    lock = folder.with_name(f".{folder.name}.lock")
    with hold(lock, CheckpointError):  # whoever comes second waits, and then finds them made
        if folder.exists():
            try:
                return open_shards(folder)
            except CheckpointError as error:
                progress.note(f"{error}; it is made again")
        write_shards(
            folder,
            documents,
            tokenizer,
            ends=ends,
            begin=begin,
            digest=key,
            size=size,
            progress=progress,
        )
        return open_shards(folder)


def _ends(tokenizer: Tokenizer, end: int | None) -> list[int]:
    """The tokens that may end a document, the one first that is put where there is none."""
    if end is not None:
        return [end]
    return [*tokenizer.eos_ids] or [tokenizer.special_id("sep_token")]


def _content(documents: Iterable[str]) -> tuple[str, int]:
    """Hash and size in bytes of documents.

    Each comes after its length, without which two lists with the same text would be one.
    """
    if iter(documents) is documents:
        raise InputError("expected documents that can be gone through twice, got an iterator")
    state, size = hashlib.blake2b(digest_size=16), 0
    for text in documents:
        data = text.encode()
        state.update(len(data).to_bytes(8, "little") + data)
        size += len(data)
    if not size:
        raise InputError("expected documents, got not one with text in it")
    return state.hexdigest(), size


def write_shards(
    folder: Path,
    documents: Iterable[str],
    tokenizer: Tokenizer,
    *,
    ends: Sequence[int],
    begin: Sequence[int] = (),
    digest: str,
    size: int,
    progress: Progress,
    shard_tokens: int = _SHARD_TOKENS,
) -> None:
    """Fill a folder, which takes the place of a damaged one; a shard is full at ``shard_tokens``.

    A document with none of ``ends`` at its end gets the first; the rest is as of `token_shards`.

    Raises:
        CheckpointError: the disk refuses.
    """
    # two bytes a token where the vocabulary allows it: half the disk, and half of what is read
    highest = max(tokenizer.vocab_size - 1, ends[0], *begin)
    dtype = "<u2" if highest < _SMALL else "<u4"
    with new_directory(folder, overwrite=True) as place:
        writer = _Writer(place, dtype, shard_tokens)
        with progress.bar("tokenising", size) as done:
            for parts in _chunks(documents):
                found = tokenizer.encode_many([part.text for part in parts])
                for part, inner in zip(parts, found, strict=True):
                    ids = with_opening(inner, begin) if part.first else inner
                    writer.add(part, with_end(ids, ends) if part.last else ids)
                done(sum(part.size for part in parts))
        writer.finish({"format": FORMAT, "digest": digest, "dtype": dtype, "end": ends[0]})


class _Part(NamedTuple):
    """A document, or a part of a long one."""

    text: str
    first: bool = True
    last: bool = True

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.text.encode())


def _chunks(documents: Iterable[str]) -> Iterator[list[_Part]]:
    """A million characters at a time, in whole documents or parts: enough for all cores."""
    parts: list[_Part] = []
    size = 0
    for part in (part for text in documents for part in _parts(text)):
        parts.append(part)
        size += len(part.text)
        if size >= _CHUNK:
            yield parts
            parts, size = [], 0
    if parts:
        yield parts


def _parts(document: str) -> Iterator[_Part]:
    """The document, or the parts of a long one.

    They end where lines do, or else words: there few tokenizers have tokens that reach across.
    """
    at, end = 0, len(document)
    while end > _LONG and end - at > _CHUNK:
        cut = document.rfind("\n", at, at + _CHUNK) + 1 or document.rfind(" ", at + 1, at + _CHUNK)
        cut = cut if cut > at else at + _CHUNK
        yield _Part(document[at:cut], first=not at, last=False)
        at = cut
    yield _Part(document[at:], first=not at)


@final
class _Writer:
    """Appends documents to the last shard, and begins another when that is full."""

    def __init__(self, folder: Path, dtype: str, shard_tokens: int) -> None:
        self._folder, self._dtype, self._limit = folder, dtype, shard_tokens
        self._names: list[str] = []
        self._documents: list[tuple[int, int]] = []
        self._highest = 0
        self._room = 0
        self._file: BinaryIO | None = None

    def add(self, part: _Part, ids: list[int]) -> None:
        """One document, or what follows of the one before."""
        if part.first:
            self._documents.append((0, 0))
        if part.first and self._room <= 0:  # between documents, so that each lies in one file
            self._close()
            self._names.append(f"tokens-{len(self._names):05d}.bin")
            self._file, self._room = (self._folder / self._names[-1]).open("wb"), self._limit
        if self._file is not None:
            self._file.write(np.array(ids, self._dtype).tobytes())
        self._room -= len(ids)
        length, size = self._documents[-1]
        self._documents[-1] = length + len(ids), size + part.size
        self._highest = max([self._highest, *ids])

    def finish(self, index: dict[str, Any]) -> None:
        """Write the documents' sizes and the index."""
        self._close()
        (self._folder / DOCUMENTS).write_bytes(np.array(self._documents, "<i8").tobytes())
        write_object(
            self._folder / INDEX,
            {
                **index,
                "highest": self._highest,
                "documents": _receipt(self._folder / DOCUMENTS),
                "shards": {name: _receipt(self._folder / name) for name in self._names},
            },
        )

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()


def _receipt(path: Path) -> dict[str, Any]:
    """What tells on reading whether a file is still what was written."""
    return {"bytes": path.stat().st_size, "blake2b": file_hash(path)}
