"""The content of a ``config.json``, read so that every complaint names the file and the key."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ACTIVATIONS", "HfConfig"]

ACTIVATIONS: Mapping[str, str] = MappingProxyType(
    {
        "silu": "silu",
        "swish": "silu",
        "gelu": "gelu",
        "gelu_pytorch_tanh": "gelu_tanh",
        "gelu_new": "gelu_tanh",
        "relu": "relu",
        "tanh": "tanh",
        "sigmoid": "sigmoid",
    }
)
"""Activations by their names in a ``config.json``; of several for one, the first is written."""
_TOO_MANY = 2**31  # ids and positions are 32-bit integers
_LARGEST = 3.4028234663852886e38  # what float32 holds
_LONGEST = 120
_MOST_LISTED = 10_000


@final
class HfConfig:
    """The content of a ``config.json``; every complaint names the file and the key.

    Args:
        values: the parsed object.
        where: the file, for messages.
        own: what the file calls keys that are asked for by other names.

    Attributes:
        values, where: the same.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        where: str = "config.json",
        own: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.values = values
        self.where = where
        self._own = own

    def without(self, key: str) -> HfConfig:
        """The same without a key."""
        kept = {name: value for name, value in self.values.items() if name != key}
        return HfConfig(kept, self.where, self._own)

    def whole(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """An integer of at least ``least``."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            what = "a positive integer" if least == 1 else f"an integer of at least {least}"
            raise self.error(key, what, value)
        if value >= _TOO_MANY:
            raise self.error(key, f"an integer below {_TOO_MANY}", value)
        return value

    def listed_layers(self) -> int:
        """The number of layers, where something is made for each.

        Nobody has compared it with the tensors when a configuration is read.
        """
        layers = self.whole("num_hidden_layers")
        if layers > _MOST_LISTED:
            expected = f"at most {_MOST_LISTED} layers that differ"
            raise self.error("num_hidden_layers", expected, layers)
        return layers

    def number(self, key: str, default: float | None = None) -> float:
        """A finite number."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(key, "a number", value)
        if not abs(value) <= _LARGEST:
            odd = isinstance(value, float) and not math.isfinite(value)
            what = "a finite number" if odd else f"a number of at most {_LARGEST:.4g}"
            raise self.error(key, what, value)
        return float(value)

    def positive_number(self, key: str, default: float | None = None) -> float:
        """A finite number above 0, of which a root may be taken or by which is divided."""
        value = self.number(key, default)
        if value <= 0:
            raise self.error(key, "a number above 0", value)
        return value

    def rate(self, key: str, default: float) -> float:
        """A dropout probability."""
        value = self.number(key, default)
        if not 0 <= value < 1:
            raise self.error(key, "a rate in [0, 1)", value)
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, "true or false", value)
        return value

    def choice(self, key: str, choices: Mapping[str, Any], default: str) -> Any:
        """What ``choices`` holds under the name given."""
        value = self._get(key, default)
        if not isinstance(value, str) or value not in choices:
            raise self.error(key, "one of " + ", ".join(choices), value)
        return choices[value]

    def names(self, key: str) -> tuple[str, ...]:
        """A list of names; empty if it is not there."""
        value = self.values.get(key) or []
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise self.error(key, "a list of names", value)
        return tuple(value)

    def labels(self) -> tuple[str, ...]:
        """The names of classes in ``id2label``, in order; empty if it is not there."""
        table = self.values.get("id2label") or {}
        if not isinstance(table, dict) or set(table) != {str(i) for i in range(len(table))}:
            raise self.error("id2label", "an object with the keys 0, 1, …", table)
        return tuple(str(table[str(i)]) for i in range(len(table)))

    def refuse(self, **usual: object) -> None:
        """Raise if a key asks for anything but what is usual, the one value that is supported."""
        for key, value in usual.items():
            if self.has(key) and self.values[key] != value:
                raise self.error(key, f"{value!r}, all that is supported", self.values[key])

    def part(self, *keys: str) -> HfConfig | None:
        """The first of several objects inside that is there and not empty, or None."""
        for key in keys:
            value = self.values.get(key)
            if value is None or value == {}:
                continue
            if not isinstance(value, dict):
                raise self.error(key, "an object", value)
            return HfConfig(value, f"{self.where}, {key}")
        return None

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self.values.get(self._own.get(key, key)) is not None

    def error(self, key: str, expected: str, got: object) -> CheckpointError:
        """What to raise for a key that cannot be used."""
        return CheckpointError(
            f"{self.where}: {self._own.get(key, key)}: expected {expected}, got {_show(got)}"
        )

    def _get(self, key: str, default: object) -> Any:
        key = self._own.get(key, key)
        value = self.values.get(key)
        if value is None:
            value = default
        if value is None:
            raise CheckpointError(f"{self.where}: the key {key!r} is missing")
        return value


def _show(value: object) -> str:
    """A value, cut where it is long; a number of thousands of digits has no text at all."""
    if isinstance(value, int) and abs(value) > _TOO_MANY**2:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
