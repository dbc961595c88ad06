"""Changes to bytes and to the text formats: flips, cuts, copies, and numbers that lie."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from fuzzing.trees import NUMBERS, TEXTS

if TYPE_CHECKING:
    import random

INSERTS = (
    *(
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\n",
        b"\r",
        b'"',
        b"'",
        b",",
        b"{",
        b"[",
        b"\\",
        b"\xed\xa0",
    ),
    *(b"\x80\x02", b"PK\x03\x04", b"\xff\xfe", b"\t", b"9" * 5000, b"[" * 3000, b"\n\n", b"#"),
)
SETTINGS = (
    *("nan", "inf", "-inf", "1e400", "9" * 5000, "-1", "0", "true", "''", "'none'", "[]", "{}"),
    *("[1, 'a']", "[" * 500, "1979-05-27", "07:32:00", "0x" + "f" * 4000, '"\\ud800"', '"\\u0000"'),
    *("{a = {a = 1}}", "'''", "3.4", "'x' * 9", "9223372036854775808", '"' + "x" * 300 + '"'),
)


def change_bytes(draw: random.Random, data: bytes) -> bytes:
    """One to six changes."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 3, 6))):
        at = draw.randrange(len(changed) + 1)
        kind = draw.randrange(7)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            changed = changed[:at]
        elif kind == 2:
            changed[at:at] = draw.choice(INSERTS)
        elif kind == 3:
            del changed[at : at + draw.choice((1, 4, 8, 100))]
        elif kind == 4:
            changed[at:at] = changed[at : at + draw.choice((1, 8, 64, 1000))]
        elif kind == 5:
            changed[at : at + 8] = _integer(draw)
        else:
            changed[at : at + 1] = bytes([draw.randrange(256)])
    return bytes(changed)


def _integer(draw: random.Random) -> bytes:
    number = draw.choice([n for n in NUMBERS if isinstance(n, int) and 0 <= n < 2**64])
    return struct.pack("<Q", number)


def change_text(draw: random.Random, text: str) -> bytes:
    """Words, marks and lines of a text are dropped, doubled, exchanged, or others."""
    parts = re.findall(r"\w+|\s+|\{[%{#]|[%}#]\}|[^\w\s]", text) or [""]
    for _ in range(draw.choice((1, 1, 2, 3, 5))):
        at, other = draw.randrange(len(parts)), draw.randrange(len(parts))
        kind = draw.randrange(5)
        if kind == 0:
            parts[at] = ""
        elif kind == 1:
            parts[at] *= draw.choice((2, 3, 50))
        elif kind == 2:
            parts[at], parts[other] = parts[other], parts[at]
        elif kind == 3:
            first, last = sorted((at, other))
            parts[first] = "".join(parts[first : last + 1]) + parts[first]
        else:
            parts[at] = draw.choice(TEXTS)
    return "".join(parts).encode("utf-8", "surrogatepass")


def change_settings(draw: random.Random, text: str) -> bytes:
    """Values of a TOML document are others; lines are dropped, doubled, or moved."""
    lines = text.splitlines()
    for _ in range(draw.choice((1, 1, 2, 3))):
        at = draw.randrange(len(lines))
        name, equals, _ = lines[at].partition("=")
        kind = draw.randrange(8)
        if kind == 0:
            lines[at] = ""
        elif kind == 1:
            lines.insert(draw.randrange(len(lines)), lines[at])
        elif kind == 2:
            lines[at] = ".".join([name.strip() or "a"] * draw.choice((2, 30, 300))) + "= 1"
        elif equals:
            lines[at] = f"{name}= {draw.choice(SETTINGS)}"
        else:
            lines[at] = draw.choice(
                ("[a]", "[[a]]", "[", "[data]", "= 1", "a", "a.b.c = 1", "[''']")
            )
    return "\n".join(lines).encode()
