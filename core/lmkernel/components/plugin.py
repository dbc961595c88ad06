"""Registers the built-in kinds of each interface; imports none of them."""

from __future__ import annotations

from lmkernel.plugins import ComponentSpec, hookimpl

_KINDS = (
    ("embedding", "token", "components.embedding:TokenEmbedding"),
    ("embedding", "vectors", "components.embedding:VectorEmbedding"),
    ("embedding", "patches", "components.patches:PatchEmbedding"),
    ("embedding", "frames", "components.frames:FrameEmbedding"),
    ("embedding", "waves", "components.waves:WaveEmbedding"),
    ("attention", "multi_head", "components.attention:MultiHeadAttention"),
    ("attention", "disentangled", "components.disentangled:DisentangledAttention"),
    ("attention", "latent", "components.latent:LatentAttention"),
    ("attention", "delta", "components.delta:DeltaAttention"),
    ("attention", "single_vector", "components.single_vector:SingleVectorAttention"),
    ("encoder", "transformer", "components.transformer:TransformerEncoder"),
    ("encoder", "recurrent", "components.recurrent:RecurrentEncoder"),
    ("encoder", "feed_forward", "components.feed_forward:FeedForwardEncoder"),
    ("decoder", "transformer", "components.transformer:TransformerDecoder"),
    ("decoder", "recurrent", "components.recurrent:RecurrentDecoder"),
    ("decoder", "feed_forward", "components.feed_forward:FeedForwardDecoder"),
    ("loss", "mse", "components.losses:MeanSquaredError"),
    ("loss", "cross_entropy", "components.losses:CrossEntropy"),
    ("loss", "soft_cross_entropy", "components.losses:SoftCrossEntropy"),
    ("loss", "binary_cross_entropy", "components.losses:BinaryCrossEntropy"),
    ("loss", "spans", "components.losses:SpanCrossEntropy"),
    ("loss", "ctc", "components.ctc:CtcLoss"),
    ("trainer", "composed", "training.step.trainer:ComposedTrainer"),
)


@hookimpl
def lmkernel_register_components() -> list[ComponentSpec]:
    """Every kind that the core composes itself."""
    return [
        ComponentSpec(
            interface=interface,  # type: ignore[arg-type]  # the table above holds interfaces
            name=name,
            contract="1.0",
            load=f"lmkernel.{where}",
        )
        for interface, name, where in _KINDS
    ]
