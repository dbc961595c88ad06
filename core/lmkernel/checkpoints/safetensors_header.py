"""The header of a safetensors file, checked before anything in it is trusted.

Format (https://github.com/huggingface/safetensors): 8 bytes with the header's length N, little
endian; N bytes of JSON, padded with spaces, that give each tensor's dtype, shape and data_offsets;
then the data, row-major, little endian, without holes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.cursor import Cursor
from lmkernel.checkpoints.dtypes import STORED_DTYPES
from lmkernel.checkpoints.json_files import parse_object
from lmkernel.checkpoints.memory_map import is_pickle, refuse_pickle
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["DTYPE_CODES", "LENGTH_BYTES", "Entry", "read_header"]

LENGTH_BYTES = 8
_QUANTISED = ("F4", "F6", "F8")  # the beginnings of codes, as in F8_E4M3
_LIMIT = 100_000_000  # the format's own limit to a header
_MOST_AXES = 64  # NumPy's
_MOST_TENSORS = 250_000  # of one file; the largest of published models have 90,000 in all
_MOST_ELEMENTS = 2**59  # the bytes of as many elements can be counted in 64 bits

DTYPE_CODES: Mapping[str, str] = MappingProxyType(
    {
        "float64": "F64",
        "float32": "F32",
        "float16": "F16",
        "bfloat16": "BF16",
        "float8_e4m3fn": "F8_E4M3",
        "float8_e5m2": "F8_E5M2",
        "float8_e8m0fnu": "F8_E8M0",
        "int64": "I64",
        "int32": "I32",
        "int16": "I16",
        "int8": "I8",
        "uint64": "U64",
        "uint32": "U32",
        "uint16": "U16",
        "uint8": "U8",
        "bool": "BOOL",
    }
)
_NAMES = MappingProxyType({code: name for name, code in DTYPE_CODES.items()})


@final
@dataclass(frozen=True)
class Entry:
    """One tensor: its dtype, its shape, and the bytes of the file from ``start`` to ``stop``."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


def read_header(path: Path, data: NDArray[np.uint8]) -> dict[str, Entry]:
    """Every tensor of a mapped file, in the order in which the data lies.

    Raises:
        CheckpointError: whatever is wrong, with the file and the tensor.
    """
    cursor = Cursor(path, data)
    header = parse_object(bytes(_header(cursor)), f"{path}: the header")
    start = cursor.at
    header.pop("__metadata__", None)
    if len(header) > _MOST_TENSORS:
        raise cursor.error(f"expected at most {_MOST_TENSORS} tensors, got {len(header)}")
    entries = {name: _entry(path, name, value, start) for name, value in header.items()}
    ordered = sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop))
    _check_layout(path, ordered, start, len(data))
    return dict(ordered)


def _header(cursor: Cursor) -> memoryview:
    """The bytes of the header, once the file is known to have one and to be able to hold it."""
    start, first = bytes(cursor.peek(4)), bytes(cursor.peek(LENGTH_BYTES + 1)[LENGTH_BYTES:])
    if first != b"{":
        if is_pickle(cursor.path, start):
            raise refuse_pickle(cursor.path)
        raise cursor.error("not a safetensors file, for it has no JSON header")
    length: int = cursor.number("Q", "the length of the header")
    header = cursor.take(length, "the header")
    if length > _LIMIT:
        raise cursor.error(f"a header of {length} bytes is over the limit of {_LIMIT}")
    return header


def _entry(path: Path, name: str, value: Any, start: int) -> Entry:
    where = f"{path}: tensor {name!r}"
    fields: dict[str, Any] = value if isinstance(value, dict) else {}
    dtype: Any = fields.get("dtype")
    shape: Any = fields.get("shape")
    offsets: Any = fields.get("data_offsets")
    if not (_naturals(shape) and _naturals(offsets) and len(offsets) == 2):  # noqa: PLR2004 - a start and a stop
        raise CheckpointError(
            f"{where}: expected dtype, shape and two data_offsets, got {str(value)[:200]}"
        )
    if not isinstance(dtype, str) or dtype not in _NAMES:
        known = ", ".join(_NAMES)
        hint = ", of weights that are quantised" if str(dtype).startswith(_QUANTISED) else ""
        raise CheckpointError(f"{where}: expected a dtype among {known}, got {dtype!r:.200}{hint}")
    entry = Entry(_NAMES[dtype], tuple(shape), start + offsets[0], start + offsets[1])
    # NumPy strides over the extents that are not 0, so their product counts where one is 0 too
    if len(shape) > _MOST_AXES or math.prod(max(n, 1) for n in shape) > _MOST_ELEMENTS:
        raise CheckpointError(f"{where}: shape {shape!s:.200} is that of no array")
    need = math.prod(shape) * STORED_DTYPES[entry.dtype].itemsize
    if entry.stop - entry.start != need:
        raise CheckpointError(
            f"{where}: shape {entry.shape} of {entry.dtype} needs {need} bytes, "
            f"data_offsets {offsets} give {entry.stop - entry.start}"
        )
    return entry


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _check_layout(path: Path, entries: list[tuple[str, Entry]], start: int, size: int) -> None:
    """Each tensor begins where the one before it ends, and the last ends with the file."""
    end = start
    for name, entry in entries:
        if entry.start != end:
            fault = "overlaps the one before it" if entry.start < end else "leaves a hole before it"
            raise CheckpointError(f"{path}: tensor {name!r} {fault}")
        end = entry.stop
        if end > size:
            raise CheckpointError(
                f"{path}: tensor {name!r} ends at byte {end} and the file at {size}; "
                "it is truncated or corrupt"
            )
    if end != size:
        raise CheckpointError(f"{path}: {size - end} bytes after the last tensor belong to none")
