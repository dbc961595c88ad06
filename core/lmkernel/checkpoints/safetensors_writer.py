"""Writing safetensors files as the tensors come, one in memory at a time.

Constraints: the order given is the order in the file, so that matrices which a model fuses can lie
side by side. The header's room is fixed beforehand, because what comes is not known when the first
tensor is written; a shard ends when its data or its header would outgrow it. The data therefore
starts at a multiple of 64 bytes, and of a memory page.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.arguments import require_count
from lmkernel.checkpoints.dtypes import STORED_DTYPES, narrow, widen
from lmkernel.checkpoints.json_files import write_object
from lmkernel.checkpoints.safetensors_header import DTYPE_CODES, LENGTH_BYTES
from lmkernel.errors import CheckpointError, as_text, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["write_safetensors"]

FLOAT_DTYPES = ("float32", "bfloat16", "float16")
_ROOM = 128 * 1024  # about 1,100 tensors with the names that models use
_BLOCK = 4 * 1024 * 1024  # elements converted and written at a time
_METADATA = {"__metadata__": {"format": "pt"}}  # readers of the ecosystem ask for it


def write_safetensors(
    folder: Path,
    tensors: Iterable[tuple[str, NDArray[Any]]],
    *,
    dtype: str,
    shard_bytes: int,
    stem: str = "model",
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write ``STEM.safetensors``, or shards and their index, into an existing folder.

    Args:
        folder: the folder to write to.
        tensors: names and values, in the order to keep.
        dtype: the dtype of floating tensors, one of `FLOAT_DTYPES`; other tensors keep their own.
        shard_bytes: a file holds at most this many bytes of data, but one tensor at least.
        stem: the beginning of the files' names.
        progress: a function called with the number of bytes just written.

    Raises:
        CheckpointError: a dtype that cannot be written, a name given twice, a value that the dtype
            cannot hold.
        InputError: no number of bytes.
    """
    if as_text(dtype) not in FLOAT_DTYPES:
        raise CheckpointError(
            f"expected a dtype among {', '.join(FLOAT_DTYPES)}, got {shown(dtype)}"
        )
    require_count("shard_bytes", shard_bytes)
    shards: list[_Shard] = []
    try:
        for name, array in tensors:
            if any(name in shard.entries for shard in shards):
                raise CheckpointError(f"{folder}: tensor {name!r} is given twice")
            stored = dtype if array.dtype.kind == "f" else array.dtype.name
            if not shards or not shards[-1].has_room(name, array, stored, shard_bytes):
                shards.append(_Shard(folder, len(shards)))
            shards[-1].add(name, array, stored, progress or (lambda _: None))
        _finish(folder, shards or [_Shard(folder, 0)], stem)
    finally:
        for shard in shards:
            shard.file.close()


@final
class _Shard:
    """One file being written: data behind the room for the header."""

    def __init__(self, folder: Path, number: int) -> None:
        self.path = folder / f"part-{number}.safetensors"
        self.entries: dict[str, dict[str, Any]] = {}
        self.size = 0
        self._room = _ROOM - LENGTH_BYTES - len(json.dumps(_METADATA))
        self.file = self.path.open("wb")
        self.file.seek(_ROOM)

    def has_room(self, name: str, array: NDArray[Any], stored: str, limit: int) -> bool:
        """Whether the tensor fits into this file; an empty file takes any."""
        entry = self._entry(name, array, stored)
        fits = entry["data_offsets"][1] <= limit and _text_size(name, entry) <= self._room
        return fits or not self.entries

    def add(
        self, name: str, array: NDArray[Any], stored: str, progress: Callable[[int], None]
    ) -> None:
        """Write one tensor block by block, in its stored dtype."""
        entry = self._entry(name, array, stored)
        self._room -= _text_size(name, entry)
        if self._room < 0:
            raise CheckpointError(f"{self.path}: the tensor's name of {len(name)} is too long")
        flat = array.reshape(-1)
        for start in range(0, flat.size, _BLOCK):
            block = _encode(flat[start : start + _BLOCK], stored, f"{self.path}: tensor {name!r}")
            self.file.write(block.data)
            progress(block.nbytes)
        self.entries[name] = entry
        self.size = entry["data_offsets"][1]

    def close(self, path: Path) -> None:
        """Fill in the header, and give the file its name."""
        header = json.dumps({**_METADATA, **self.entries}, ensure_ascii=True).encode()
        self.file.seek(0)
        self.file.write((_ROOM - LENGTH_BYTES).to_bytes(LENGTH_BYTES, "little"))
        self.file.write(header.ljust(_ROOM - LENGTH_BYTES))
        self.file.close()
        self.path.rename(path)

    def _entry(self, name: str, array: NDArray[Any], stored: str) -> dict[str, Any]:
        if stored not in DTYPE_CODES:
            raise CheckpointError(f"{self.path}: tensor {name!r} has the dtype {stored!r}")
        size = math.prod(array.shape) * STORED_DTYPES[stored].itemsize
        return {
            "dtype": DTYPE_CODES[stored],
            "shape": list(array.shape),
            "data_offsets": [self.size, self.size + size],
        }


def _text_size(name: str, entry: dict[str, Any]) -> int:
    """What one entry adds to the header: the braces of this text stand for comma and space."""
    return len(json.dumps({name: entry}))


def _encode(values: NDArray[Any], stored: str, what: str) -> NDArray[Any]:
    try:
        with np.errstate(over="raise"):
            if stored == "bfloat16":
                return _narrow(values.astype(np.float32, copy=False))
            return np.ascontiguousarray(values, STORED_DTYPES[stored])
    except FloatingPointError as error:
        raise CheckpointError(f"{what}: a value is too large for {stored}") from error


def _narrow(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """`narrow`, which rounds the largest values to infinity; as NumPy does, it says so."""
    bits = narrow(values)
    if np.isinf(widen(bits)).any() and np.isfinite(values).all():
        raise FloatingPointError
    return bits


def _finish(folder: Path, shards: list[_Shard], stem: str) -> None:
    """Close the files under their final names, with an index if there are several."""
    if len(shards) == 1:
        shards[0].close(folder / f"{stem}.safetensors")
        return
    table = {}
    for number, shard in enumerate(shards, 1):
        name = f"{stem}-{number:05d}-of-{len(shards):05d}.safetensors"
        shard.close(folder / name)
        table.update(dict.fromkeys(shard.entries, name))
    total = sum(shard.size for shard in shards)
    index = {"metadata": {"total_size": total}, "weight_map": table}
    write_object(folder / f"{stem}.safetensors.index.json", index)
