"""Registers the built-in kinds of each interface; imports none of them."""

from __future__ import annotations

from lmkernel.plugins import ComponentSpec, hookimpl

_KINDS = (
    ("embedding", "token", "embedding:TokenEmbedding"),
    ("embedding", "vectors", "embedding:VectorEmbedding"),
    ("attention", "multi_head", "attention:MultiHeadAttention"),
    ("attention", "single_vector", "single_vector:SingleVectorAttention"),
    ("encoder", "transformer", "transformer:TransformerEncoder"),
    ("encoder", "recurrent", "recurrent:RecurrentEncoder"),
    ("encoder", "feed_forward", "feed_forward:FeedForwardEncoder"),
    ("decoder", "transformer", "transformer:TransformerDecoder"),
    ("decoder", "recurrent", "recurrent:RecurrentDecoder"),
    ("decoder", "feed_forward", "feed_forward:FeedForwardDecoder"),
    ("loss", "mse", "losses:MeanSquaredError"),
    ("loss", "cross_entropy", "losses:CrossEntropy"),
    ("loss", "soft_cross_entropy", "losses:SoftCrossEntropy"),
)


@hookimpl
def lmkernel_register_components() -> list[ComponentSpec]:
    """Every kind that the core composes itself."""
    return [
        ComponentSpec(
            interface=interface,  # type: ignore[arg-type]  # the table above holds interfaces
            name=name,
            contract="0.3",
            load=f"lmkernel.components.{where}",
        )
        for interface, name, where in _KINDS
    ]
