"""The core's components built from another configuration, as what a mutant replaces."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel.config import TransformerConfig
from lmkernel.interfaces import Decoder, Embedding, Encoder
from lmkernel_proofs.mutants.mutant import Replacement, component
from lmkernel_proofs.mutants.wrappers import with_call, with_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.backend import Backend
    from lmkernel.config import AttentionConfig, EmbeddingConfig, LayerConfig

    Change = Callable[[TransformerConfig], TransformerConfig]

__all__ = [
    "with_attentions",
    "with_decoder",
    "with_embedding",
    "with_embedding_call",
    "with_encoder",
    "with_stacks",
]

_TOKEN = "embedding:token"  # noqa: S105 - a kind of embedding, no secret


def with_embedding(change: Callable[[EmbeddingConfig], EmbeddingConfig]) -> Replacement:
    """The embedding of tokens is another."""
    return component(_TOKEN, with_config(Embedding, "embedding", "token", change))


def with_embedding_call(make_call: Callable[[Any, Any], Callable[..., Any]]) -> Replacement:
    """The embedding of tokens is called another way."""
    return component(_TOKEN, with_call(Embedding, "embedding", "token", make_call))


def _of_transformers(change: Change) -> Callable[[Any], Any]:
    """Other stacks, such as recurrent ones, stay as they are."""
    return lambda config: change(config) if isinstance(config, TransformerConfig) else config


def with_decoder(change: Change) -> Replacement:
    """Decoders of transformer layers are others."""
    changed = _of_transformers(change)
    return component("decoder:transformer", with_config(Decoder, "decoder", "transformer", changed))


def with_encoder(change: Change) -> Replacement:
    """Encoders of transformer layers are others."""
    changed = _of_transformers(change)
    return component("encoder:transformer", with_config(Encoder, "encoder", "transformer", changed))


def with_stacks(change: Change) -> Replacement:
    """Encoders and decoders of transformer layers are others."""
    encoder, decoder = with_encoder(change), with_decoder(change)

    def make(backend: Backend) -> Backend:
        return decoder(encoder(backend))

    return Replacement(encoder.names | decoder.names, make)


def with_attentions(change: Callable[[AttentionConfig], AttentionConfig]) -> Replacement:
    """The self-attention of every layer is another."""

    def layer(own: LayerConfig) -> LayerConfig:
        return replace(own, attention=own.attention and change(own.attention))

    return with_stacks(
        lambda config: replace(
            config,
            attention=change(config.attention),
            different=tuple(map(layer, config.different)),
        )
    )
