"""The container of a GGUF file, every claim of its header checked against the file's size.

Format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): magic, version, the numbers of
tensors and of metadata pairs, the pairs, the tensors' names, shapes, types and offsets, padding to
the alignment, data. Versions 2 and 3, little endian. The ``gguf`` package supplies the table of
quantised types; its reader is not used, for it takes seconds over a vocabulary and trusts a header.
"""

from __future__ import annotations

import importlib
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.cursor import Cursor
from lmkernel.checkpoints.memory_map import is_pickle, map_file, refuse_pickle
from lmkernel.errors import CheckpointError, MissingDependencyError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from types import ModuleType

    from numpy.typing import NDArray

__all__ = ["GgufFile", "gguf_package"]

GGUF_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY, _FLOAT32 = 8, 9, 6
_SCALARS: Mapping[int, str] = MappingProxyType(
    dict(enumerate(("B", "b", "H", "h", "I", "i", "f", "?"))) | {10: "Q", 11: "q", 12: "d"}
)
_SMALLEST_PAIR = 8 + 4 + 1  # the length of a name, a type, a value of one byte
_SMALLEST_TENSOR = 8 + 4 + 4 + 8
_MOST_AXES = 4  # GGML_MAX_DIMS
_MOST_ENTRIES = 100_000  # the largest of published models have some thousand tensors
_MOST_ITEMS = 5_000_000  # of all arrays; a tokenizer has an item for each token and merge


@final
@dataclass(frozen=True)
class GgufTensor:
    """One tensor: its row-major shape, the number of its type, and its bytes in the file."""

    shape: tuple[int, ...]
    kind: int
    kind_name: str
    start: int
    stop: int


@final
class GgufFile:
    """A GGUF file: ``metadata`` by key and ``tensors`` by GGUF's own names.

    float32 metadata come as the shortest decimal that rounds to them, so 1e-5 is 1e-5.

    Raises:
        CheckpointError: the file is not a whole, sound GGUF file.
        MissingDependencyError: the ``gguf`` package is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._data = map_file(self.path)
        cursor = Cursor(self.path, self._data)
        tensors, pairs = _preamble(cursor)
        self.metadata: Mapping[str, Any] = MappingProxyType(_metadata(cursor, pairs))
        self.tensors: Mapping[str, GgufTensor] = MappingProxyType(
            _tensors(cursor, tensors, self.metadata.get("general.alignment", 32))
        )
        self._holders: dict[str, GgufFile] = {}

    @property
    def architecture(self) -> str:
        """What ``general.architecture`` says; empty if it says nothing."""
        name = self.metadata.get("general.architecture")
        return name if isinstance(name, str) else ""

    def data(self, name: str) -> NDArray[np.uint8]:
        """The stored bytes of a tensor, (bytes,), a view into the file's map."""
        if name in self._holders:
            return self._holders[name].data(name)
        return self._data[self.tensors[name].start : self.tensors[name].stop]

    def add(self, part: GgufFile) -> None:
        """Take over the tensors of another part of the same model.

        Raises:
            CheckpointError: one is here already.
        """
        for name in part.tensors.keys() & self.tensors.keys():
            raise CheckpointError(f"{part.path}: tensor {name!r} is in {self.path.name} too")
        self.tensors = MappingProxyType({**self.tensors, **part.tensors})
        self._holders |= dict.fromkeys(part.tensors, part)


def gguf_package() -> ModuleType:
    """The ``gguf`` package, or the command that installs it."""
    try:
        return importlib.import_module("gguf")
    except ImportError as error:
        raise MissingDependencyError(
            "reading GGUF needs gguf, which is not installed; run: pip install gguf"
        ) from error


def _preamble(cursor: Cursor) -> tuple[int, int]:
    """Magic, version, and how many tensors and metadata pairs there are."""
    magic = bytes(cursor.take(4, "the magic"))
    if magic != GGUF_MAGIC:
        if is_pickle(cursor.path, magic):
            raise refuse_pickle(cursor.path)
        raise cursor.error(f"not a GGUF file: expected the magic {GGUF_MAGIC!r}, got {magic!r}")
    version = cursor.number("I", "the version")
    if version and version & 0xFFFF == 0:
        raise cursor.error("the file is big-endian GGUF; expected little endian")
    if version not in _VERSIONS:
        raise cursor.error(f"expected GGUF version 2 or 3, got {version}")
    tensors, pairs = (cursor.number("Q", "the header") for _ in range(2))
    if max(tensors, pairs) <= cursor.size:  # else the file ends early, which is said below
        _check_counts(cursor, tensors, pairs)
    cursor.expect(pairs * _SMALLEST_PAIR, f"a header of {pairs} metadata pairs")
    cursor.expect(tensors * _SMALLEST_TENSOR, f"a header of {tensors} tensors")
    return tensors, pairs


def _check_counts(cursor: Cursor, tensors: int, pairs: int) -> None:
    if max(tensors, pairs) > _MOST_ENTRIES:
        raise cursor.error(
            f"expected at most {_MOST_ENTRIES} tensors and metadata pairs, "
            f"got {tensors} and {pairs}"
        )


def _metadata(cursor: Cursor, pairs: int) -> dict[str, Any]:
    table: dict[str, Any] = {}
    left = _MOST_ITEMS
    for _ in range(pairs):
        key = cursor.string("a metadata key")
        if key in table:
            raise cursor.error(f"metadata {key!r} is there twice")
        table[key] = value = _value(cursor, cursor.number("I", key), f"metadata {key!r}", left)
        left -= len(value) if isinstance(value, list) else 0
    return table


def _value(cursor: Cursor, kind: int, what: str, most: int) -> Any:
    if kind == _STRING:
        return cursor.string(what)
    if kind == _ARRAY:
        return _array(cursor, what, most)
    if kind not in _SCALARS:
        raise cursor.error(f"{what} has the unknown value type {kind}")
    value = cursor.number(_SCALARS[kind], what)
    return float(str(np.float32(value))) if kind == _FLOAT32 else value


def _array(cursor: Cursor, what: str, most: int) -> list[Any]:
    kind = cursor.number("I", what)
    count = cursor.number("Q", what)
    if most < count <= cursor.size:
        raise cursor.error(f"{what}: expected at most {most} items, got {count}")
    if kind == _STRING:
        cursor.expect(count * 8, f"{what}, {count} strings,")
        return [cursor.string(what) for _ in range(count)]
    if kind not in _SCALARS:
        raise cursor.error(f"{what} is an array of the unsupported value type {kind}")
    dtype = np.dtype(_SCALARS[kind]).newbyteorder("<")
    raw = cursor.take(count * dtype.itemsize, f"{what}, {count} values,")
    values: list[Any] = np.frombuffer(raw, dtype).tolist()
    return values


def _tensors(cursor: Cursor, count: int, alignment: Any) -> dict[str, GgufTensor]:
    if not (type(alignment) is int and alignment > 0 and alignment & (alignment - 1) == 0):
        raise cursor.error(f"general.alignment: expected a power of two, got {alignment!r}")
    found = [_tensor_info(cursor) for _ in range(count)]
    data_start = -(-cursor.at // alignment) * alignment
    table: dict[str, GgufTensor] = {}
    for name, shape, kind, offset in found:
        if name in table:
            raise cursor.error(f"tensor {name!r} is there twice")
        if offset % alignment:
            raise cursor.error(
                f"tensor {name!r}: expected an offset that is a multiple of {alignment}, "
                f"got {offset}"
            )
        table[name] = _locate(cursor, name, shape, kind, data_start + offset)
    _refuse_overlaps(cursor, table)
    return table


def _refuse_overlaps(cursor: Cursor, tensors: Mapping[str, GgufTensor]) -> None:
    """Else a small file could hold any number of large tensors."""
    ordered = sorted(tensors.items(), key=lambda item: (item[1].start, item[1].stop))
    for (_, before), (name, tensor) in itertools.pairwise(ordered):
        if tensor.start < before.stop:
            raise cursor.error(f"tensor {name!r} overlaps the one before it")


def _tensor_info(cursor: Cursor) -> tuple[str, tuple[int, ...], int, int]:
    name = cursor.string("a tensor's name")
    what = f"tensor {name!r}"
    axes = cursor.number("I", what)
    if axes > _MOST_AXES:
        raise cursor.error(f"{what}: expected at most {_MOST_AXES} axes, got {axes}")
    shape = tuple(cursor.number("Q", what) for _ in range(axes))[::-1]
    if 0 in shape:
        raise cursor.error(f"{what}: expected extents of 1 or more, got {shape}")
    return name, shape, cursor.number("I", what), cursor.number("Q", what)


def _locate(cursor: Cursor, name: str, shape: tuple[int, ...], kind: int, start: int) -> GgufTensor:
    """A tensor with the bytes that it takes, if they are in the file."""
    gguf = gguf_package()
    try:
        quantisation = gguf.GGMLQuantizationType(kind)
        block, block_bytes = gguf.GGML_QUANT_SIZES[quantisation]
    except (ValueError, KeyError) as error:
        raise cursor.error(f"tensor {name!r} has the unknown quantisation type {kind}") from error
    if (shape[-1] if shape else 1) % block:
        raise cursor.error(
            f"tensor {name!r}: rows of {shape[-1:]} are no multiple of {quantisation.name}'s "
            f"block of {block}"
        )
    stop = start + math.prod(shape) // block * block_bytes
    if stop > cursor.size:
        raise cursor.error(
            f"tensor {name!r} ends at byte {stop} and the file at {cursor.size}; "
            "it is truncated or corrupt"
        )
    return GgufTensor(shape, kind, quantisation.name, start, stop)
