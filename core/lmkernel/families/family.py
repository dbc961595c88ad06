"""The interface of a model family, and a reader of configurations that names what is wrong."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import CheckpointError, ConfigError, PluginError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.config import HeadConfig, ModelConfig
    from lmkernel.families.gguf_architecture import GgufArchitecture
    from lmkernel.families.names import Rule
    from lmkernel.families.sizes import Sizes

__all__ = ["ACTIVATIONS", "Family", "HfConfig", "MakeHead", "find_family", "name_of_activation"]

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


MakeHead = Callable[["HfConfig", tuple[str, ...]], "HeadConfig"]
"""Makes a head from a model's configuration and the names of its classes."""


@final
class HfConfig:
    """The content of a ``config.json``; every complaint names the file and the key.

    Args:
        values: the parsed object.
        where: the file, for messages.

    Attributes:
        values: the same.
    """

    def __init__(self, values: Mapping[str, Any], where: str = "config.json") -> None:
        self.values = values
        self._where = where

    def whole(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """An integer of at least ``least``."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            what = "a positive integer" if least == 1 else f"an integer of at least {least}"
            raise self.error(key, what, value)
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A number."""
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(key, "a number", value)
        return float(value)

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
        if value not in choices:
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
        """The first of several objects inside that is there, or None."""
        for key in keys:
            value = self.values.get(key)
            if value is None:
                continue
            if not isinstance(value, dict):
                raise self.error(key, "an object", value)
            return HfConfig(value, f"{self._where}, {key}")
        return None

    def has(self, key: str) -> bool:
        """Whether the key is there and not null."""
        return self.values.get(key) is not None

    def error(self, key: str, expected: str, got: object) -> CheckpointError:
        """What to raise for a key that cannot be used."""
        return CheckpointError(f"{self._where}: {key}: expected {expected}, got {got!r}")

    def _get(self, key: str, default: object) -> Any:
        value = self.values.get(key)
        if value is None:
            value = default
        if value is None:
            raise CheckpointError(f"{self._where}: the key {key!r} is missing")
        return value


class Family(ABC):
    """A model family, found by the ``model_type`` that it is registered under.

    The abstract methods say how its checkpoints are read and written. The others say what else the
    family can do, and have defaults that fit a decoder that is only loaded.
    """

    @abstractmethod
    def read(self, config: HfConfig) -> ModelConfig:
        """Our configuration of a Hugging Face one.

        Raises:
            CheckpointError: a key is missing, or asks for what is not supported.
        """

    @abstractmethod
    def write(self, config: ModelConfig) -> dict[str, Any]:
        """The Hugging Face configuration of ours; `read` inverts it.

        Raises:
            CheckpointError: a model of another shape.
        """

    @abstractmethod
    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        """How tensor names map, both ways."""

    @abstractmethod
    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        """Patterns of tensor names that a checkpoint may hold without need, such as buffers."""

    def heads(self) -> Mapping[str, MakeHead | None]:
        """What its models can be trained for, each with what makes the head that it needs.

        A maker takes the model's Hugging Face configuration and the names of the classes, where
        there are classes; None stands for the head that the model has already.
        """
        return {"causal": None, "instruction": None}

    def new(self, sizes: Sizes) -> dict[str, Any]:
        """The Hugging Face configuration of a new model; ``model_type`` is added by the caller.

        Raises:
            ConfigError: sizes alone do not describe a model of this family.
        """
        del sizes
        raise ConfigError(
            f"{type(self).__name__}: a new model of this family cannot be described by sizes alone"
        )

    def special_tokens(self) -> dict[str, str]:
        """The special token of each role, for a tokenizer that is trained for a new model."""
        return {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}

    def gguf(self) -> GgufArchitecture | None:
        """The layout of its models in a GGUF file, or None where they are not read from one."""
        return None


def find_family(model_type: object, where: str, objective: str = "") -> Family:
    """The family registered under a ``model_type``.

    Args:
        model_type: its name.
        where: what has that name, for messages.
        objective: what its models are to be trained for, if for anything.

    Raises:
        CheckpointError: there is none; the message lists those that there are.
        ConfigError: its models are not trained for the objective.
    """
    from lmkernel.plugins import FamilySpec, default_registry

    try:
        family: Family = default_registry().get(FamilySpec, str(model_type)).create()
    except UnknownNameError as error:
        raise CheckpointError(f"{where}: unsupported model_type: {error}") from error
    if objective and objective not in family.heads():
        fitting = " or ".join(family.heads())
        others = ", ".join(_trained_by(objective)) or "no family that is installed"
        raise ConfigError(
            f"objective {objective!r}: a {model_type} model is trained by {fitting}; "
            f"{objective} is for {others}"
        )
    return family


def _trained_by(objective: str) -> list[str]:
    """The families whose models are trained for an objective."""
    from lmkernel.plugins import FamilySpec, default_registry

    found = []
    for name, spec in default_registry().all(FamilySpec).items():
        with contextlib.suppress(PluginError):  # one that cannot be imported has none
            found += [name] if objective in spec.create().heads() else []
    return found


def name_of_activation(ours: str, names: Mapping[str, str] = ACTIVATIONS) -> str:
    """The name that a ``config.json`` has for one of our activations."""
    for theirs, name in names.items():
        if name == ours:
            return theirs
    raise CheckpointError(f"expected an activation among {', '.join(names.values())}, got {ours!r}")
