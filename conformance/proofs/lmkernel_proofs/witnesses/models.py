"""Points of multi-head attention, stacks and whole models, small but with every part in use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    HeadConfig,
    HeadTransformConfig,
    MlpConfig,
    ModelConfig,
    NormConfig,
    RecurrentConfig,
    RotaryConfig,
    TransformerConfig,
)
from lmkernel_conformance.oracle import model as oracle
from lmkernel_conformance.oracle import transformer
from lmkernel_conformance.oracle.positions import rotation as oracle_rotation
from lmkernel_proofs.witnesses import stacks
from lmkernel_proofs.witnesses.norms import rotation
from lmkernel_proofs.witnesses.point import Point, grid
from lmkernel_proofs.witnesses.precise import exact
from lmkernel_proofs.witnesses.shapes import parameter_shapes

__all__ = ["MODELS", "POINTS", "WHERE"]

Host = Any

WHERE = np.array([[0, 1, 2], [-1, 0, 1]])
SOURCE = np.array([[0, 1, 2, -1], [0, 1, -1, -1]])
TOKENS = np.array([[3, 1, 4], [0, 2, 5]])
TARGET = np.array([[1, 6, 2, 2], [4, 0, 3, 1]])
SEGMENTS = np.array([[0, 1, 1], [0, 0, 1]])

_RMS = NormConfig(kind="rms", eps=1e-3, offset=1.0)
_LAYER = NormConfig(kind="layer", eps=1e-3)
_ROTARY = RotaryConfig(dim=4, theta=5e5)
_SELF = AttentionConfig(
    width=6, heads=4, kv_heads=2, head_dim=5, bias=True, out_bias=True, window=2, softcap=2.5,
    qk_norm=_RMS,
)  # fmt: skip
_CROSS = AttentionConfig(width=6, heads=2, head_dim=3, bias=True, memory_width=4)
_DECODER = TransformerConfig(
    width=6, layers=1, causal=True, attention=_SELF, cross=_CROSS, norm=_RMS,
    mlp=MlpConfig(hidden=5, activation="silu"),
)  # fmt: skip
_ENCODER = TransformerConfig(
    width=4, layers=2, attention=AttentionConfig(width=4, heads=2, bias=True, out_bias=True),
    mlp=MlpConfig(hidden=3, activation="gelu", gated=False, bias=True), norm=_LAYER,
    pre_norm=False, final_norm=False,
)  # fmt: skip
_EMBEDDING = EmbeddingConfig(
    width=4, vocab=6, positions="learned", context=5, offset=2, segments=2, norm=_LAYER, scale=1.5
)
_INNER = EmbeddingConfig(
    width=6, vocab=6, inner=4, positions="sinusoidal", offset=2, sinusoids="halves_to_last",
    norm=replace(_RMS, offset=0.0),
)  # fmt: skip
_ENDED = replace(_ENCODER, layers=1, pre_norm=True, final_norm=True)


def _recurrent(cell: str) -> ModelConfig:
    return ModelConfig(
        embedding=EmbeddingConfig(width=3, vocab=6),
        encoder=RecurrentConfig(input_width=3, width=2, cell=cell, bidirectional=True),
        target_embedding=EmbeddingConfig(width=2, vocab=7),
        decoder=RecurrentConfig(input_width=2, width=4, cell=cell),
        head=HeadConfig(width=4, size=3, bias=True, activation="softmax"),
    )


MODELS = {
    "sequence_to_sequence": ModelConfig(
        embedding=_EMBEDDING,
        encoder=_ENDED,
        target_embedding=EmbeddingConfig(width=6, vocab=7, positions="rotary", rotary=_ROTARY),
        decoder=_DECODER,
        head=HeadConfig(width=6, size=7, tied=True, bias=True, softcap=3.0),
    ),
    "classifier": ModelConfig(
        embedding=replace(_EMBEDDING, positions="sinusoidal", context=0, offset=0),
        encoder=replace(_ENCODER, layers=1),
        head=HeadConfig(
            width=4, size=3, bias=True, pooling="first",
            transform=HeadTransformConfig(activation="tanh", norm=_LAYER),
        ),
    ),
    "document": ModelConfig(
        embedding=EmbeddingConfig(kind="vectors", width=3),
        encoder=FeedForwardConfig(widths=(3, 5, 4), activation="gelu_tanh"),
        decoder=FeedForwardConfig(widths=(4, 5, 2), final_activation="sigmoid"),
    ),
    "gru": _recurrent("gru"),
    "lstm": _recurrent("lstm"),
}  # fmt: skip


def parameters(name: str) -> dict[str, Host]:
    """Draw a model's parameters by dotted name: norms about one, everything else about zero."""
    return {
        at: grid(f"{name}.{at}", *shape, low=0.5, high=1.5)
        if at.endswith("norm.weight")
        else grid(f"{name}.{at}", *shape, low=-0.75, high=0.75)
        for at, shape in parameter_shapes(MODELS[name]).items()
    }


def _part(p: dict[str, Host], name: str) -> dict[str, Host]:
    return {at: x for at, x in p.items() if at.startswith(f"{name}.")}


def _whole(name: str, how: str, inputs: Host = TOKENS, **more: Any) -> Point:
    """A point of a whole model; inputs that are vectors are moved too."""
    own = {"inputs": inputs} if inputs.dtype.kind == "f" else {}
    c = MODELS[name]
    return Point(
        id=f"model.forward.{name}",
        of=("model.forward",),
        how=how,
        inputs={**parameters(name), **own},
        oracle=lambda ar, t: [oracle.forward(ar, c, t, t.get("inputs", inputs), **more)],
        witness=lambda t: [stacks.forward(c, t, t.get("inputs", inputs), **more)],
        **_DEEP,
    )


_DEEP: Any = {"ulps": 32, "why": "some twenty operations, one after the other"}
_VECTORS = {"x": grid("stack.x", 2, 3, 6), "memory": grid("stack.memory", 2, 4, 4)}
_MASK = np.tril(np.ones((2, 1, 3, 3), bool))
_P = parameters("sequence_to_sequence")
_SMALL = "embedding"


def _stack(name: str, c: TransformerConfig, inputs: dict[str, Host], **more: Any) -> Point:
    def options(t: Any) -> Any:
        return {**more, **({"memory": (t["memory"], SOURCE)} if "memory" in t else {})}

    return Point(
        id=f"transformer.stack.{name}",
        of=(
            "transformer.stack",
            "transformer.multi_head",
            "transformer.normalize",
            "networks.network",
            "norm.dense",
        ),
        how="each head and each key by itself; padding on either side",
        inputs=inputs,
        oracle=lambda ar, t: [transformer.stack(ar, t["x"], WHERE, t, _side(c), c, **options(t))],
        witness=lambda t: [stacks.stack(t["x"], WHERE, t, _side(c), c, **options(t))],
        **_DEEP,
    )


def _side(c: TransformerConfig) -> str:
    return "decoder" if c.cross is not None else "encoder"


POINTS: tuple[Point, ...] = (
    Point(
        id="transformer.normalize",
        of=("transformer.normalize",),
        how="the variance from all pairs; the stored weight plus its offset",
        inputs={"x": _VECTORS["x"], "n.weight": grid("n.w", 6), "n.bias": grid("n.b", 6)},
        oracle=lambda ar, t: [
            transformer.normalize(ar, t["x"], t, "n", c) for c in (_RMS, _LAYER)
        ],
        witness=lambda t: [stacks.normalize(t["x"], t, "n", c) for c in (_RMS, _LAYER)],
    ),
    Point(
        id="transformer.multi_head",
        of=("transformer.multi_head",),
        how="each head by its own rows of the weights, normalised, turned; a bias of the scores",
        inputs={
            "x": _VECTORS["x"],
            "bias": grid("multi_head.bias", 1, 4, 3, 3),
            **_part(_P, "decoder.layers.0.attention"),
        },
        oracle=lambda ar, t: [
            transformer.multi_head(
                ar, t["x"], t, "decoder.layers.0.attention", _SELF, _MASK,
                turn=oracle_rotation(ar, WHERE, _ROTARY), bias=t["bias"],
            )
        ],
        witness=lambda t: [
            stacks.multi_head(
                t["x"], t, "decoder.layers.0.attention", _SELF, _MASK,
                turn=rotation(exact(WHERE), _ROTARY), bias=t["bias"],
            )
        ],
        **_DEEP,
    ),
    _stack("decoder", _DECODER, {**_VECTORS, **_part(_P, "decoder")}, rotary=_ROTARY),
    _stack(
        "encoder", replace(_ENCODER, layers=1),
        {"x": grid("encoder.x", 2, 3, 4), **_part(parameters("classifier"), "encoder")},
    ),
    Point(
        id="model.embed",
        of=("model.embed",),
        how="a row at a time: scaled, positions from an offset, segments, a norm; waves; vectors",
        inputs={**_part(_P, _SMALL), "x": grid("embed.x", 2, 3, 4)},
        oracle=lambda ar, t: [
            oracle.embed(ar, TOKENS, WHERE, t, _SMALL, _EMBEDDING, SEGMENTS),
            oracle.embed(ar, TOKENS, WHERE, t, _SMALL, _EMBEDDING),
            oracle.embed(ar, TOKENS, WHERE, t, _SMALL, MODELS["classifier"].embedding),
            oracle.embed(ar, t["x"], WHERE, t, _SMALL, MODELS["document"].embedding),
        ],
        witness=lambda t: [
            stacks.embed(TOKENS, WHERE, t, _SMALL, _EMBEDDING, SEGMENTS),
            stacks.embed(TOKENS, WHERE, t, _SMALL, _EMBEDDING),
            stacks.embed(TOKENS, WHERE, t, _SMALL, MODELS["classifier"].embedding),
            stacks.embed(t["x"], WHERE, t, _SMALL, MODELS["document"].embedding),
        ],
        ulps=16,
        why="a sum of three, then a normalisation",
    ),
    Point(
        id="model.embed.inner",
        of=("model.embed",),
        how="a row at a time: waves in halves, a norm, and a product that makes it wider",
        inputs={
            "e.tokens.weight": grid("inner.tokens", 6, 4),
            "e.norm.weight": grid("inner.norm", 4, low=0.5, high=1.5),
            "e.project.weight": grid("inner.project", 6, 4),
            "e.project.bias": grid("inner.bias", 6),
        },
        oracle=lambda ar, t: [oracle.embed(ar, TOKENS, WHERE, t, "e", _INNER)],
        witness=lambda t: [stacks.embed(TOKENS, WHERE, t, "e", _INNER)],
        ulps=16,
        why="a sum of two, a normalisation, and a product",
    ),
    Point(
        id="model.feed_forward",
        of=("model.feed_forward",),
        how="dense layers by mpmath's dot products",
        inputs={"x": grid("feed.x", 1, 4, 3), **_part(parameters("document"), "encoder")},
        oracle=lambda ar, t: [
            oracle.feed_forward(ar, t["x"], t, "encoder", MODELS["document"].encoder)
        ],
        witness=lambda t: [stacks.feed_forward(t["x"], t, "encoder", MODELS["document"].encoder)],
        ulps=16,
        why="1 + tanh cancels where x is negative",
    ),
    _whole("sequence_to_sequence", "encoder, decoder and tied bounded head", positions=WHERE,
           segments=SEGMENTS, target=TARGET),
    _whole("classifier", "each row's first real position, a dense layer, classes",
           positions=WHERE),
    _whole("document", "vectors through two dense networks", grid("document.x", 1, 4, 3),
           target=grid("document.target", 1, 4, 3)),
    _whole("gru", "both directions, last states handed on", positions=WHERE, target=TARGET),
    _whole("lstm", "both directions, last states handed on", target=TARGET),
)  # fmt: skip
