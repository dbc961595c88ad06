"""Keys of a ``config.json`` that stand for fields of our configuration, and go both ways.

Constraint: a path leads from a `ModelConfig` through its parts, as in ``decoder.attention.bias``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = ["Carried", "values_of_keys", "with_fields", "with_keys"]

Carried = Mapping[str, str | tuple[str, ...]]
"""Keys, each with the path of the field that it stands for, or of several that are equal."""


def with_keys(
    model: ModelConfig,
    config: HfConfig,
    carried: Carried,
    defaults: Mapping[str, Any],
) -> ModelConfig:
    """A model with the fields that a configuration's keys stand for.

    Args:
        model: the model, with anything in those fields.
        config: the configuration, with all its keys.
        carried: keys with the paths of their fields.
        defaults: what each key is where a file does not have it, which says its type.

    Raises:
        CheckpointError: a value of another type than the default's.
    """
    fields: dict[str, Any] = {}
    for key, paths in carried.items():
        value = _value_of_key(config, key, defaults[key])
        fields |= dict.fromkeys(_paths(paths), value)
    return with_fields(model, fields)


def with_fields(model: ModelConfig, fields: Mapping[str, Any]) -> ModelConfig:
    """A model with other values in the fields of some paths."""
    return functools.reduce(
        lambda made, item: _with_field(made, item[0].split("."), item[1]), fields.items(), model
    )


def _with_field(part: Any, names: list[str], value: Any) -> Any:
    first, *rest = names
    inner = _with_field(getattr(part, first), rest, value) if rest else value
    return replace(part, **{first: inner})


def _value_of_key(config: HfConfig, key: str, default: Any) -> Any:
    """The value of a key that has the type of its default; None where it is null.

    Raises:
        CheckpointError: a value of another type.
    """
    if not config.has(key):
        return None
    if isinstance(default, bool):
        return config.flag(key, default=default)
    if isinstance(default, float):
        return config.rate(key, default) if "drop" in key else config.number(key)
    return config.whole(key)


def values_of_keys(model: ModelConfig, carried: Carried) -> dict[str, Any]:
    """The keys of a model's configuration, which `with_keys` reads."""
    return {
        key: functools.reduce(getattr, _paths(paths)[0].split("."), model)
        for key, paths in carried.items()
    }


def _paths(paths: str | tuple[str, ...]) -> tuple[str, ...]:
    return (paths,) if isinstance(paths, str) else paths
