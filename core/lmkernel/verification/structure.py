"""Configurations of one stack: found, cut, and changed wherever something occurs in them."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from lmkernel.arguments import require_count
from lmkernel.config import ModelConfig, TransformerConfig
from lmkernel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["change_every", "single_transformer", "with_few_layers", "with_layers"]

_T = TypeVar("_T")


def single_transformer(config: ModelConfig) -> tuple[str, TransformerConfig]:
    """The one stack of a model, and whether it is its ``"encoder"`` or its ``"decoder"``.

    Raises:
        InputError: it has both or neither, its stack is none of transformer layers, or it reads
            pictures.
    """
    if config.pair or config.sight or not (config.target_embedding or config.embedding).vocab:
        raise InputError("expected a model of texts, got one that reads pictures")
    there = {n: s for n in ("encoder", "decoder") if (s := getattr(config, n)) is not None}
    if len(there) == 1:
        [(name, stack)] = there.items()
        if isinstance(stack, TransformerConfig) and config.head is not None:
            return name, stack
    raise InputError("expected a model with a head and one stack of transformer layers")


def with_layers(config: ModelConfig, layers: Sequence[int]) -> ModelConfig:
    """The same with only the layers of these numbers."""
    name, stack = single_transformer(config)
    different = tuple(stack.different[i] for i in layers) if stack.different else ()
    cut: dict[str, Any] = {name: replace(stack, layers=len(layers), different=different)}
    return replace(config, **cut)


def with_few_layers(config: ModelConfig, layers: int) -> ModelConfig:
    """The same with the first ``layers`` layers alone.

    Raises:
        InputError: it is no number of layers that the model has.
    """
    _, stack = single_transformer(config)
    require_count("layers", layers, most=stack.layers)
    return with_layers(config, range(layers))


def change_every(part: Any, kind: type[_T], change: Callable[[_T], _T]) -> Any:
    """A configuration with everything of one kind in it changed, in every layer."""
    if isinstance(part, kind):
        return change(part)
    if isinstance(part, tuple):
        return tuple(change_every(one, kind, change) for one in part)
    if not is_dataclass(part) or isinstance(part, type):
        return part
    inner = {f.name: getattr(part, f.name) for f in fields(part)}
    changed = {name: change_every(value, kind, change) for name, value in inner.items()}
    return replace(part, **{n: x for n, x in changed.items() if x is not inner[n]})
