"""Stacks of a configuration: found, cut, and changed wherever something occurs in them."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from lmkernel.arguments import require_count
from lmkernel.config import LayerConfig, ModelConfig, RelativeConfig, TransformerConfig
from lmkernel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "change_every",
    "is_sequence_model",
    "top_transformer",
    "transformers",
    "with_few_layers",
    "with_layers",
]

_T = TypeVar("_T")


def transformers(config: ModelConfig) -> Mapping[str, TransformerConfig]:
    """The stacks of a model, ``"encoder"`` or ``"decoder"`` or both, in the order of a run.

    Raises:
        InputError: it has none, or others than transformer layers.
    """
    there = {n: s for n in ("encoder", "decoder") if (s := getattr(config, n)) is not None}
    stacks = {n: s for n, s in there.items() if isinstance(s, TransformerConfig)}
    if not stacks or len(stacks) != len(there):
        raise InputError("expected a model of stacks of transformer layers")
    return stacks


def top_transformer(config: ModelConfig) -> tuple[str, TransformerConfig]:
    """The stack that the head reads, the decoder where there are both, and its name.

    Raises:
        InputError: as `transformers`.
    """
    return list(transformers(config).items())[-1]


def is_sequence_model(config: ModelConfig) -> bool:
    """Whether a decoder writes a target beside what the encoder reads."""
    return config.encoder is not None and config.decoder is not None


def with_layers(config: ModelConfig, layers: Sequence[int], name: str = "") -> ModelConfig:
    """The same with only the layers of these numbers, of one stack.

    Args:
        config: the model.
        layers: the layers that stay.
        name: ``"encoder"`` or ``"decoder"``; by default the one that the head reads.
    """
    name = name or top_transformer(config)[0]
    stack = transformers(config)[name]
    different = tuple(stack.different[i] for i in layers) if stack.different else ()
    if all(layer == LayerConfig() for layer in different):
        different = ()  # those that are left are alike
    cut = replace(stack, layers=len(layers), different=different)
    parts: dict[str, Any] = {name: cut}
    own = "target_embedding" if is_sequence_model(config) and name == "decoder" else "embedding"
    embedding = getattr(config, own)
    if isinstance(embedding.relative, RelativeConfig) and embedding.relative.tables > 1:
        # each layer has a table of its own, which the embedding holds
        tables = replace(embedding.relative, tables=len(layers))
        parts[own] = replace(embedding, relative=tables)
        numbered = (_with_table(one, replace(tables, table=i)) for i, one in enumerate(different))
        parts[name] = replace(
            cut, different=tuple(numbered), attention=replace(cut.attention, relative=tables)
        )
    return replace(config, **parts)


def _with_table(layer: LayerConfig, relative: RelativeConfig) -> LayerConfig:
    own = layer.attention
    return layer if own is None else replace(layer, attention=replace(own, relative=relative))


def with_few_layers(config: ModelConfig, layers: int) -> ModelConfig:
    """The same with the first ``layers`` layers alone; of an encoder and a decoder the decoder's.

    Raises:
        InputError: it is no number of layers that the model has.
    """
    _, stack = top_transformer(config)
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
