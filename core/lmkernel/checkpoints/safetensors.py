"""Safetensors files, alone or in shards, read over a memory map.

Why not the library of that name: its NumPy reader copies every tensor and cannot read bfloat16, and
its errors do not name file and tensor. Here a tensor is a view into the map, neighbours in the file
are neighbours in memory (so that a fused matrix needs no copy), and bfloat16 widens to float32.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.dtypes import POWERS, STORED_DTYPES, to_dtype, widen
from lmkernel.checkpoints.json_files import read_object
from lmkernel.checkpoints.memory_map import map_file
from lmkernel.checkpoints.safetensors_header import Entry, read_header
from lmkernel.checkpoints.tensors import Tensors, unknown_tensor
from lmkernel.composed.codes import CODES
from lmkernel.errors import CheckpointError
from lmkernel.files import is_file, is_there
from lmkernel.parameters.pages import release

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

_FLOAT8 = MappingProxyType(
    {
        "float8_e4m3fn": np.array(CODES["e4m3"].levels, np.float32),
        "float8_e5m2": np.array(CODES["e5m2"].levels, np.float32),
        "float8_e8m0fnu": POWERS,
    }
)
"""The numbers that the bytes of a type stand for."""

__all__ = ["SafetensorsFile", "SafetensorsShards", "open_safetensors"]


def open_safetensors(folder: Path, stem: str = "model") -> Tensors | None:
    """``STEM.safetensors``, or its shards, or None where there is neither."""
    single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if is_there(single):
        return SafetensorsFile(single)
    return SafetensorsShards(index) if is_there(index) else None


@final
class SafetensorsFile(Tensors):
    """One safetensors file.

    Args:
        path: the file; only its header is read now.

    Raises:
        CheckpointError: the file is not a whole, sound safetensors file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._data = map_file(self.path)
        self._entries = read_header(self.path, self._data)

    def names(self) -> tuple[str, ...]:
        """Every name, in the order of the data."""
        return tuple(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape."""
        return self._entry(name).shape

    def dtype(self, name: str) -> str:
        """The stored dtype's name."""
        return self._entry(name).dtype

    def read(self, name: str, dtype: str | None = None) -> NDArray[Any]:
        """The values; see `Tensors.read`."""
        entry = self._entry(name)
        raw = self._data[entry.start : entry.stop].view(STORED_DTYPES[entry.dtype])
        if not raw.flags.aligned:  # a neighbour of odd size before it: few programs take that
            raw = raw.copy()
        values = raw
        if entry.dtype == "bfloat16":
            values = widen(raw)
            release(raw)  # what was widened is a copy, and nobody looks at the map again
        elif entry.dtype in _FLOAT8 and dtype != "uint8":  # as uint8 they are their codes
            values = _FLOAT8[entry.dtype][raw]
        return to_dtype(values.reshape(entry.shape), dtype, f"{self.path}: tensor {name!r}")

    def _entry(self, name: str) -> Entry:
        if name not in self._entries:
            raise unknown_tensor(self.path, name, self._entries)
        return self._entries[name]


@final
class SafetensorsShards(Tensors):
    """Several safetensors files under one index, ``model.safetensors.index.json``.

    Args:
        index: the index file; its shards lie in the same folder.

    Raises:
        CheckpointError: a shard is unsound, missing or outside the folder, or lacks a tensor.
    """

    def __init__(self, index: str | os.PathLike[str]) -> None:
        self.path = Path(index)
        table = read_object(self.path, required=True).get("weight_map")
        if not isinstance(table, dict) or not all(isinstance(s, str) for s in table.values()):
            raise CheckpointError(f"{self.path}: expected weight_map, tensor names to file names")
        files = {s: SafetensorsFile(_inside(self.path, s)) for s in dict.fromkeys(table.values())}
        there = {shard: set(file.names()) for shard, file in files.items()}
        for name, shard in table.items():
            if name not in there[shard]:
                raise CheckpointError(f"{self.path}: tensor {name!r} is not in its shard {shard!r}")
        self._files = {
            name: file
            for shard, file in files.items()
            for name in file.names()
            if table.get(name) == shard
        }
        self._unlisted = {n: s for s, names in there.items() for n in names if n not in table}

    def names(self) -> tuple[str, ...]:
        """Every name in the index, shard by shard, in the order of the data."""
        return tuple(self._files)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape."""
        return self._file(name).shape(name)

    def dtype(self, name: str) -> str:
        """The stored dtype's name."""
        return self._file(name).dtype(name)

    def read(self, name: str, dtype: str | None = None) -> NDArray[Any]:
        """The values; see `Tensors.read`."""
        return self._file(name).read(name, dtype)

    def unlisted(self, name: str) -> str:
        """The shard that holds a tensor which the index leaves out, for a message."""
        shard = self._unlisted.get(name)
        return f": {self.path} leaves it out, and its shard {shard!r} holds it" if shard else ""

    def _file(self, name: str) -> SafetensorsFile:
        if name not in self._files:
            raise unknown_tensor(self.path, name, self._files)
        return self._files[name]


def _inside(index: Path, shard: str) -> Path:
    """The shard's path, unless a name or a link leads out of the index's folder.

    The one way out that is allowed is that of the Hugging Face cache, where each file of
    ``snapshots/REVISION`` is a link into ``blobs`` of the same model, and those are links into
    ``blobs`` of the whole cache.
    """
    parts = {*PurePosixPath(shard).parts, *PureWindowsPath(shard).parts}
    absolute = PurePosixPath(shard).is_absolute() or PureWindowsPath(shard).anchor
    try:
        folder = index.parent.resolve()
        target = (folder / shard).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop, a long name, a zero byte
        raise CheckpointError(f"{index}: shard {shard!r:.200} is missing: {error}") from error
    homes = [folder]
    if folder.parent.name == "snapshots":
        homes += [folder.parents[1] / "blobs"]
        homes += [folder.parents[2] / "blobs"] if "--" in folder.parents[1].name else []
    if absolute or ".." in parts or not any(target.is_relative_to(home) for home in homes):
        raise CheckpointError(f"{index}: shard {shard!r} lies outside the checkpoint's folder")
    if not is_file(target):
        raise CheckpointError(f"{index}: shard {shard!r} is missing")
    return index.parent / shard
