"""Changes to binary formats by their structure: a header that lies about the data behind it."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fuzzing.blobs import change_bytes
from fuzzing.trees import NUMBERS, TEXTS, change_tree, dump
from lmkernel.gguf.file import GgufFile

if TYPE_CHECKING:
    import random
    from pathlib import Path

SIZES = [n for n in NUMBERS if isinstance(n, int) and 0 <= n < 2**64]
SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
STRING, ARRAY = 8, 9


def change_safetensors(draw: random.Random, data: bytes) -> bytes:
    """The header's entries are changed as JSON is, or its length, or any byte."""
    length = int.from_bytes(data[:8], "little")
    header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]
    kind = draw.randrange(8)
    if kind == 0:
        return change_bytes(draw, data)
    if kind == 1:
        return struct.pack("<Q", draw.choice(SIZES)) + data[8:]
    if kind == 2:
        rest = rest[: draw.randrange(len(rest) + 1)] + bytes(draw.choice((0, 1, 8)))
    text = dump(change_tree(draw, header))
    return struct.pack("<Q", len(text)) + text + rest


@dataclass(frozen=True)
class Tensor:
    """One entry of a GGUF file's list of tensors."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True)
class Gguf:
    """A GGUF file taken apart: (key, type, value) of the metadata, the tensors, their data."""

    pairs: tuple[tuple[str, int, Any], ...]
    tensors: tuple[Tensor, ...]
    data: bytes

    @classmethod
    def of(cls, path: Path) -> Gguf:
        file = GgufFile(path)
        first = min(tensor.start for tensor in file.tensors.values())
        return cls(
            tuple((key, _type_of(value), value) for key, value in file.metadata.items()),
            tuple(
                Tensor(name, t.shape, t.kind, t.start - first) for name, t in file.tensors.items()
            ),
            path.read_bytes()[first:],
        )

    def encode(self) -> bytes:
        head = b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(self.pairs))
        body = b"".join(
            _text(key) + struct.pack("<I", kind) + _value(kind, value)
            for key, kind, value in self.pairs
        )
        for tensor in self.tensors:
            body += _text(tensor.name) + struct.pack("<I", len(tensor.shape))
            body += b"".join(struct.pack("<Q", n) for n in tensor.shape[::-1])
            body += struct.pack("<IQ", tensor.kind, tensor.offset)
        return (head + body).ljust(-(-len(head + body) // 32) * 32, b"\0") + self.data


def _type_of(value: Any) -> int:
    return {bool: 7, int: 4, float: 6, str: STRING, list: ARRAY}[type(value)]


def _text(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(raw)) + raw


def _value(kind: int, value: Any) -> bytes:
    """Whatever the value is, bytes of the type that it is said to have."""
    if kind == STRING:
        return _text(str(value))
    if kind == ARRAY:
        items = value if isinstance(value, list) else [value]
        inner = _type_of(items[0]) if items and not isinstance(items[0], list) else STRING
        return struct.pack("<IQ", inner, len(items)) + b"".join(_value(inner, x) for x in items)
    code = SCALARS.get(kind, "Q")
    try:
        return struct.pack(f"<{code}", value)
    except (struct.error, OverflowError):
        return struct.pack(f"<{code}", 0)


def change_gguf(draw: random.Random, parts: Gguf) -> bytes:
    """Metadata of other types and values, tensors of other shapes and places, or any bytes."""
    kind = draw.randrange(6)
    if kind == 0:
        return change_bytes(draw, parts.encode())
    if kind == 1:  # the header alone, where a byte counts
        whole = parts.encode()
        cut = len(whole) - len(parts.data)
        return change_bytes(draw, whole[:cut]) + whole[cut:]
    if kind == 2:
        return replace(parts, tensors=_change_tensors(draw, parts.tensors)).encode()
    return replace(parts, pairs=_change_pairs(draw, parts.pairs)).encode()


def _change_tensors(draw: random.Random, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    listed = list(tensors)
    at = draw.randrange(len(listed))
    one = listed[at]
    wide = (*one.shape, draw.choice((0, 1, 2, 2**32, 2**62)))
    listed[at] = draw.choice(
        (
            replace(one, shape=wide),
            replace(one, shape=one.shape[:-1]),
            replace(one, shape=one.shape[::-1]),
            replace(one, shape=tuple(draw.choice(SIZES) for _ in one.shape)),
            replace(one, kind=draw.randrange(45)),
            replace(one, offset=draw.choice((*SIZES, 32, 64, 96))),
            replace(one, name=draw.choice((*TEXTS, listed[at - 1].name, "output.weight"))),
        )
    )
    if draw.random() < 0.1:
        del listed[draw.randrange(len(listed))]
    return tuple(listed)


def _change_pairs(
    draw: random.Random, pairs: tuple[tuple[str, int, Any], ...]
) -> tuple[tuple[str, int, Any], ...]:
    listed = list(pairs)
    for _ in range(draw.choice((1, 1, 2, 3))):
        at = draw.randrange(len(listed))
        key, kind, value = listed[at]
        change = draw.randrange(6)
        if change == 0:
            del listed[at]
        elif change == 1:
            listed[at] = (key, ARRAY, [value])
        elif change == 2:
            listed[at] = (key, draw.choice((*SCALARS, STRING, ARRAY, 13, 99)), value)
        elif change == 3:
            listed[at] = (key, draw.choice((4, 10, 11, 5)), draw.choice(SIZES))
        elif change == 4:
            listed[at] = (key, STRING, draw.choice((*TEXTS, "gpt2", "llama", "none", "linear")))
        elif isinstance(value, list) and value:
            items = list(value)
            items[draw.randrange(len(items))] = draw.choice((items[0], *TEXTS))
            listed[at] = (key, kind, items if isinstance(value[0], str) else value[:-1])
        else:
            listed[at] = (key, 6, draw.choice((0.0, -1.0, float("nan"), float("inf"), 1e-38)))
    return tuple(listed)
