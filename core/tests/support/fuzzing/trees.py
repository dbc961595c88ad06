"""Changes to what JSON can hold: a value is another, missing, twice, moved, or of another type."""

from __future__ import annotations

import copy
import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

RAW = "@raw@"
"""A text that begins so stands in the document as it is, without its quotes."""
NUMBERS = (
    *(0, 1, -1, 2, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64, 10**30),
    *(10**400, -(10**300), 0.5, 1.5, -0.0, 1e-320, 1e308, math.nan, math.inf, -math.inf),
)
TEXTS = (
    *("", " ", "a", "\0", "\ud800", "\udcff", "\x1b[31m", "../x", "/dev/zero", "C:\\x", "a/b"),
    *("x" * 300, "é" * 200, "none", "null", "true", "0", "1e5", "nan", "\u2028", "😀", "{}", "[]"),
    *("%s", "{0}", "<unk>", "<end>", "gelu", "silu", "F32", "I64", "BF16", "float32", "x" * 5000),
)
OTHERS: tuple[Any, ...] = (
    *(None, True, False, [], {}, [None], [[]], {"": None}, [1, "a"], {"a": {"a": {}}}),
    *(RAW + "1e400", RAW + "9" * 5000, RAW + "[" * 5000, RAW + "[" * 90 + "]" * 90, RAW + "-"),
    *(RAW + '{"a":1,"a":2}', RAW + '"\\ud800"', RAW + '"\\udc00\\ud800"', RAW + "NaN", RAW + "01"),
    [0] * 3000,
    {str(n): n for n in range(300)},
)


def hostile(draw: random.Random) -> Any:
    """A value that no file should hold."""
    return copy.deepcopy(draw.choice(draw.choice((NUMBERS, TEXTS, OTHERS))))


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) below a value."""
    found: list[tuple[Any, Any]] = []
    stack = [tree]
    while stack:
        node = stack.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            found.append((node, key))
            if isinstance(node[key], (dict, list)):
                stack.append(node[key])
    return found


def change_tree(draw: random.Random, tree: Any) -> Any:
    """The value with one to four changes; the original stays."""
    holder = [copy.deepcopy(tree)]
    for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 4))):
        there = places(holder)
        # most values of a large document are alike, so those near the top are chosen more often
        node, key = there[min(int(draw.expovariate(1 / 12)), len(there) - 1)]
        if draw.random() < 0.3:
            node, key = draw.choice(there)
        _change(draw, node, key, there)
    return holder[0]


def _change(draw: random.Random, node: Any, key: Any, there: list[tuple[Any, Any]]) -> None:
    kind = draw.randrange(10)
    value = node[key]
    if kind == 0 and node is not there[0][0]:
        del node[key]
    elif kind == 1:
        node[key] = near(draw, value)
    elif kind == 2:
        node[key] = [value]
    elif kind == 3:
        node[key] = {draw.choice(("a", "0", "default", "rope_type")): value}
    elif kind == 4:
        other, name = draw.choice(there)
        node[key] = copy.deepcopy(other[name])
    elif kind == 5 and isinstance(node, dict):
        node[str(draw.choice((hostile(draw), f"{key} ", f"{key}0")))[:6000]] = node.pop(key)
    elif kind == 6 and isinstance(node, list):
        node.insert(draw.randrange(len(node) + 1), copy.deepcopy(value))
    else:
        node[key] = hostile(draw)


def near(draw: random.Random, value: Any) -> Any:
    """A value of the same type that is close by."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return draw.choice((value + 1, value - 1, -value, value * 2, value * 1000, str(value)))
    if isinstance(value, float):
        return draw.choice((-value, value * 1e300, value / 1e300, 0.0, 1.0, str(value)))
    if isinstance(value, str):
        cut = draw.randrange(len(value) + 1)
        return draw.choice((value[:cut], value[cut:], value * 2, value[::-1], value.upper()))
    return copy.deepcopy(value)


def dump(tree: Any) -> bytes:
    """The document, with NaN, lone surrogates and long numbers in it where they were put."""
    if isinstance(tree, int) and not isinstance(tree, bool):
        return _digits(tree)
    if isinstance(tree, str) and tree.startswith(RAW):
        return tree.removeprefix(RAW).encode("utf-8", "surrogatepass")
    if isinstance(tree, list):
        return b"[" + b",".join(map(dump, tree)) + b"]"
    if isinstance(tree, dict):
        pairs = (json.dumps(str(k)).encode() + b":" + dump(v) for k, v in tree.items())
        return b"{" + b",".join(pairs) + b"}"
    return json.dumps(tree).encode()


def _digits(number: int) -> bytes:
    """Python refuses to write more than 4,300 digits at once."""
    return hex(number).encode() if abs(number) >= 10**4000 else str(number).encode()
