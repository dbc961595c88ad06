"""Numbers of a schema: those that llguidance would read as others, or takes minutes to read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from lmkernel.structured.messages import REFUSAL, SchemaError

__all__ = ["check_multiples", "check_numbers"]

_MOST_MULTIPLES = 200_000
"""The library has a state for each remainder, which no limit of its own counts."""
_MULTIPLE = re.compile(r'"multipleOf": ([0-9.eE+-]+)')
_LARGEST = 2**53
"""The library reads bounds as floating numbers, and cuts them to 64 bits without a word; up to here
each is exact (RFC 8259, §6)."""
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Words of a schema whose objects hold schemas by name."""
_DESCRIBING = ("default", "examples")
"""Words of values that no answer is kept to."""


def check_numbers(schema: Any) -> None:
    """Refuse a schema within which a bound or a value would be another number.

    Raises:
        SchemaError: see above; it names the word.
    """
    if isinstance(schema, list | tuple):
        for one in schema:
            check_numbers(one)
        return
    for key, value in schema.items() if isinstance(schema, Mapping) else ():
        if key == "const" or (key == "enum" and isinstance(value, list | tuple)):
            _check_values(value, key)
        elif key in _NAMED and isinstance(value, Mapping):  # whose keys are names, not words
            check_numbers(list(value.values()))
        elif key in _BOUNDS and isinstance(value, int | float):
            if abs(value) > _LARGEST:
                expected = f"{key}: expected a number within ±2^53, {_LARGEST}"
                raise SchemaError(f"{REFUSAL}: {expected}, got {json.dumps(value):.40}")
        elif key not in _DESCRIBING:
            check_numbers(value)


def _check_values(value: Any, key: str) -> None:
    """Refuse whole numbers of `const` and `enum`, at any depth, that would be others."""
    if isinstance(value, Mapping | list | tuple):
        for one in value.values() if isinstance(value, Mapping) else value:
            _check_values(one, key)
    elif isinstance(value, int) and abs(value) > _LARGEST:
        raise SchemaError(
            f"{REFUSAL}: {key}: expected whole numbers within ±2^53, {_LARGEST}, "
            f"got one of {value.bit_length()} bits"
        )


def check_multiples(source: str) -> None:
    """Refuse schemas whose numbers are multiples of very many: a few digits take minutes."""
    found = [Decimal(text) for text in _MULTIPLE.findall(source)]
    # zeros at the end are one state each, wherever the point stands
    states = sum(int("".join(map(str, one.as_tuple().digits)).rstrip("0") or 0) for one in found)
    if states > _MOST_MULTIPLES:
        raise SchemaError(
            f"{REFUSAL}: multipleOf: expected numbers that are together at most "
            f"{_MOST_MULTIPLES}, zeros at their ends apart, got {states:.3g}"
        )
