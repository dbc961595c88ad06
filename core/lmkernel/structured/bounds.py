"""What is asked of one value in a schema of JSON, counted before llguidance reads the schema.

llguidance bounds its grammars and its lexer, but not how it reads a schema: it proves of all
patterns of a string that some text fits them, which doubles and more with each pattern; it compares
the expressions of names with each other; and properties that may be left out cost their square.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final
from urllib.parse import unquote, urldefrag, urljoin

from lmkernel.errors import InputError

__all__ = ["check_bounds"]

_MOST_PATTERNS = 8
"""For one string; at ten, some take seconds, at fifteen minutes and gigabytes."""
_MOST_TRIALS = 20_000
"""Of patterns together, over the whole; 80 microseconds each."""
_MOST_OPTIONAL = 2_500
_MOST_NAMES = 100
_MOST_DEEP = 12_000
"""What is referred to is read within that which refers to it, 4 kB of the stack a level."""
_MOST_COPIED = 100_000
"""A schema that is combined with others is copied; 5 microseconds each."""
_NOTES = {"$defs", "definitions", "$schema", "$id", "id", "$anchor", "$comment", "title"} | {
    "description",
    "default",
    "examples",
    "readOnly",
    "writeOnly",
}
"""Words that ask for nothing, so that a reference beside them is no combination."""
_LISTED = ("items", "additionalItems", "additionalProperties")


@final
@dataclass(eq=False)
class _Asked:
    """What a schema asks of a value, merged as llguidance merges schemas.

    Args:
        patterns: that a string fits at once, and formats.
        parts: what is asked of values within, by their names.
        rest: what is asked of those of no name.
        required: names that are never left out.
        names: expressions of names.
        among: alternatives, of which each holds all that is asked; empty where there is one.
        size: how much a copy takes, in schemas of nothing hard; a reference is one.
    """

    patterns: frozenset[str] = frozenset()
    parts: dict[str, _Asked] = field(default_factory=dict)
    rest: _Asked | None = None
    required: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    among: list[_Asked] = field(default_factory=list)
    size: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        parts = (*self.parts.values(), *self.among, *([self.rest] if self.rest else []))
        self.size = 1 + sum(one.size for one in parts) + 5 * self.trials + self.optional**2 // 15

    @property
    def trials(self) -> int:
        """How much it takes to prove that a string fits all patterns."""
        return 2 ** len(self.patterns) if len(self.patterns) > 1 else 0

    @property
    def optional(self) -> int:
        """How many properties may be left out."""
        return len(self.parts.keys() - self.required)


def check_bounds(schemas: list[Any]) -> int:
    """How deep llguidance goes in them at most; refuse those that take it seconds to read.

    Args:
        schemas: of one grammar.

    Raises:
        InputError: it says what there is too much of.
    """
    trials = optional = names = depth = 0
    for schema in schemas:
        reader = _Reader(schema)
        depth = max(depth, reader.depth)
        for one in _reached(reader.root):
            found = len(one.patterns)
            if found > _MOST_PATTERNS:
                raise InputError(
                    f"pattern: expected at most {_MOST_PATTERNS} patterns and formats that one "
                    f"string fits at once, got {found}"
                )
            trials += one.trials
            optional += one.optional**2
            names += len(one.names) ** 2
    if trials > _MOST_TRIALS:
        raise InputError(
            "pattern: expected fewer strings that fit several patterns at once: at most "
            f"{_MOST_TRIALS} where n patterns count 2^n, got {trials}"
        )
    if depth > _MOST_DEEP:
        raise InputError(
            f"$ref: expected schemas that, one put in the other, are at most {_MOST_DEEP} deep, "
            f"got {depth}"
        )
    for word, squares, most in (
        ("properties", optional, _MOST_OPTIONAL),
        ("patternProperties", names, _MOST_NAMES),
    ):
        if squares > most**2:
            kind = "that may be left out, " if word == "properties" else ""
            raise InputError(
                f"{word}: expected at most {most} of an object {kind}or of several the same sum "
                f"of squares, {most**2}, got {squares}"
            )
    return depth


def _reached(root: _Asked) -> list[_Asked]:
    """All that is asked of any value, each once."""
    found, waiting = {id(root): root}, [root]
    while waiting:
        one = waiting.pop()
        for more in (*one.parts.values(), *one.among, *([one.rest] if one.rest else [])):
            if id(more) not in found:
                found[id(more)] = more
                waiting.append(more)
    return list(found.values())


@final
class _Reader:
    """Reads one schema: `root` is what it asks of the whole value.

    `depth` is what it would have with all that it refers to put into each other.
    """

    def __init__(self, schema: Any) -> None:
        self._copied = 0
        self._places: dict[str, Any] = {"": schema}
        self._referred: dict[str, _Asked] = {}
        self._open: dict[int, tuple[_Asked, str]] = {}
        self._find_places(schema, "")
        self.depth = _depth(schema)
        self.root = self._asked(schema, "")
        while self._open:  # not one within the other: chains of references may be long
            self._follow(next(iter(self._open.values()))[0])

    def _find_places(self, value: Any, base: str) -> None:
        """Keep what a reference may name: schemas with an address or an anchor."""
        if isinstance(value, Mapping):
            base = _based(value, base)
            self._places.setdefault(base, value)
            if isinstance(anchor := value.get("$anchor"), str):
                self._places.setdefault(f"{base}#{anchor}", value)
        for one in value.values() if isinstance(value, Mapping) else value:
            if isinstance(one, Mapping | list):
                self._find_places(one, base)

    def _asked(self, schema: Any, base: str) -> _Asked:
        if not isinstance(schema, Mapping):
            return _Asked()
        base = _based(schema, base)
        found = self._own(schema, base)
        for one in _list(schema.get("allOf")):
            found = self._both(found, self._asked(one, base))
        for word in ("anyOf", "oneOf"):
            options = [self._asked(one, base) for one in _list(schema.get(word))]
            found = self._both(found, _any_of(options))
        if isinstance(target := schema.get("$ref"), str):
            referred = self._target(urljoin(base, target) or target)
            if schema.keys() - {"$ref"} <= _NOTES:
                return referred
            self._follow(referred)
            copy = _any_of(referred.among)
            self._count(copy.size)
            found = copy if self._is_empty(found) else self._both(found, copy)
        return found

    def _own(self, schema: Mapping[str, Any], base: str) -> _Asked:
        """What a schema asks by its own words, without those that combine."""
        words = [f"{key}={schema[key]}" for key in ("pattern", "format") if key in schema]
        by_name = {key: _mapping(schema.get(key)) for key in ("properties", "patternProperties")}
        named = [self._asked(one, base) for one in by_name["patternProperties"].values()]
        named = [one for one in named if not self._is_empty(one)]
        inner = [schema[key] for key in _LISTED if key in schema]
        inner = [self._asked(one, base) for one in [*inner, *_list(schema.get("prefixItems"))]]
        any_name = _any_of(named)
        return _Asked(
            frozenset(words),
            {
                key: self._both(self._asked(one, base), any_name)
                for key, one in by_name["properties"].items()
            },
            _any_of([*inner, *named]) if inner or named else None,
            frozenset(one for one in _list(schema.get("required")) if isinstance(one, str)),
            frozenset(by_name["patternProperties"]),
        )

    def _target(self, address: str) -> _Asked:
        """What the target of a reference asks, which is followed when it is combined, or last."""
        if address not in self._referred:
            self._referred[address] = made = _Asked()
            self._open[id(made)] = made, address
        return self._referred[address]

    def _follow(self, one: _Asked) -> None:
        """Read the target of a reference, unless it was read, or refers to itself."""
        _, address = self._open.pop(id(one), (one, None))
        if address is None:
            return
        base, pointer = urldefrag(address)
        target = self._places.get(address, self._places.get(base))
        if address not in self._places:
            for step in unquote(pointer).split("/")[1:]:
                target = _step(target, step.replace("~1", "/").replace("~0", "~"))
        self.depth += _depth(target)
        one.among.append(self._asked(target, base))

    def _both(self, one: _Asked, other: _Asked) -> _Asked:
        """What is asked by two schemas together."""
        for each, beside in ((one, other), (other, one)):  # without following what stands alone
            if id(each) not in self._open and self._is_empty(each):
                return beside
        if one is other or self._is_empty(other):
            return one
        if self._is_empty(one):
            return other
        for each in (one, other):
            self._count(1 + sum(alternative.size for alternative in each.among))
        if one.among:
            return _any_of([self._both(each, other) for each in one.among])
        if other.among:
            return _any_of([self._both(one, each) for each in other.among])
        keys = {**one.parts, **other.parts}
        parts = {
            key: self._both_if(one.parts.get(key, one.rest), other.parts.get(key, other.rest))
            for key in keys
        }
        return _Asked(
            one.patterns | other.patterns,
            {key: part or _Asked() for key, part in parts.items()},
            self._both_if(one.rest, other.rest),
            one.required | other.required,
            one.names | other.names,
        )

    def _count(self, copied: int) -> None:
        """Refuse what becomes too large by being combined."""
        self._copied += copied
        if self._copied > _MOST_COPIED:
            raise InputError(
                "expected fewer schemas that are combined (allOf, anyOf or $ref beside others), at "
                f"most {_MOST_COPIED} with their alternatives multiplied"
            )

    def _is_empty(self, one: _Asked) -> bool:
        self._follow(one)
        own = one.patterns or one.parts or one.required or one.names
        return not (own or one.rest or one.among)

    def _both_if(self, one: _Asked | None, other: _Asked | None) -> _Asked | None:
        return self._both(one, other) if one and other else one or other


def _any_of(options: list[_Asked]) -> _Asked:
    return options[0] if len(options) == 1 else _Asked(among=options)


def _based(schema: Mapping[str, Any], base: str) -> str:
    own = schema.get("$id", schema.get("id"))
    return urldefrag(urljoin(base, own)).url if isinstance(own, str) else base


def _depth(value: Any) -> int:
    """How many objects and lists stand in each other."""
    if not isinstance(value, Mapping | list):
        return 0
    inner = value.values() if isinstance(value, Mapping) else value
    return 1 + max(map(_depth, inner), default=0)


def _step(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(key)
    return (
        dict(zip(map(str, range(len(value))), value, strict=True)).get(key)
        if isinstance(value, list)
        else None
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
