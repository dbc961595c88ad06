"""Heads that do not divide over processes, refused before anything is placed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.config import TransformerConfig
from lmkernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.config import ModelConfig
    from lmkernel.contract.distribution import Distribution

__all__ = ["require_even_heads"]


def require_even_heads(config: ModelConfig, distribution: Distribution) -> None:
    """Heads of queries divide by ``model`` where each process attends with its own.

    Heads of keys need not: a process looks at those that its own need. An engine that sees whole
    arrays divides what it can.

    Raises:
        ConfigError: names the layer, its heads, and what would fit.
    """
    mesh = distribution.mesh
    parts = mesh.extent(("model",))
    if distribution.looks_whole or parts == 1:
        return
    for where, heads in _heads_of(config):
        if heads % parts:
            fits = [f"model={n}" for n in range(2, heads + 1) if heads % n == 0]
            raise ConfigError(
                f"mesh {mesh}: expected heads that divide by model={parts} on this backend, but "
                f"{where} has {heads}; they fit {', '.join([*fits, 'data'])} or fsdp"
            )


def _heads_of(config: ModelConfig) -> Iterator[tuple[str, int]]:
    """Where heads of queries are, by dotted name, and how many."""
    for name, stack in (("encoder", config.encoder), ("decoder", config.decoder)):
        if not isinstance(stack, TransformerConfig):
            continue
        for number in range(stack.layers):
            layer = stack.layer(number)
            yield f"{name}.layers.{number}.attention", layer.attention.heads
            if layer.cross is not None:
                yield f"{name}.layers.{number}.cross", layer.cross.heads
