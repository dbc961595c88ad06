"""A process of `test_layers`: trains a small model of each kind of layer on a mesh."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training_samples import DOUBLE, letters_batch, made_trainer

from lmkernel.backend import load_distributed
from lmkernel.config import (
    AttentionConfig,
    DeltaConfig,
    DisentangledConfig,
    EmbeddingConfig,
    ExpertsConfig,
    HeadConfig,
    LatentConfig,
    MlpConfig,
    ModelConfig,
    NormConfig,
    RelativeConfig,
    RotaryConfig,
    TransformerConfig,
)
from lmkernel.contract.distribution import Mesh
from lmkernel.distribution.environment import find_processes

if TYPE_CHECKING:
    from lmkernel.backend import Backend

__all__ = ["KINDS", "figures"]

STEPS, WIDTH = 3, 24
RMS = NormConfig(kind="rms", eps=1e-6)
USUAL = AttentionConfig(width=WIDTH, heads=4, kv_heads=2, head_dim=6)
NETWORK = MlpConfig(hidden=20)
SIX = replace(USUAL, heads=6, kv_heads=6)


def with_attention(
    attention: AttentionConfig, mlp: MlpConfig = NETWORK, *, remat: bool = False
) -> ModelConfig:
    """A decoder of one layer."""
    rotary = RotaryConfig(dim=4, theta=50.0)
    stack = TransformerConfig(
        width=WIDTH, layers=1, causal=True, attention=attention, mlp=mlp, remat=remat
    )
    return ModelConfig(
        embedding=EmbeddingConfig(width=WIDTH, vocab=61, positions="rotary", rotary=rotary),
        decoder=stack,
        head=HeadConfig(width=WIDTH, size=61, tied=True),
        context=16,
    )


def with_distances(kind: str, distances: RelativeConfig | DisentangledConfig) -> ModelConfig:
    """A decoder whose scores depend on distances; their table is the embedding's."""
    attention = AttentionConfig(
        kind=kind, width=WIDTH, heads=4, head_dim=6, relative=distances, rotary=None
    )
    tokens = EmbeddingConfig(width=WIDTH, vocab=61, positions="none", relative=distances)
    return replace(with_attention(attention), embedding=tokens)


def with_experts(**settings: Any) -> ModelConfig:
    """A decoder whose network is chosen."""
    experts = ExpertsConfig(count=5, chosen=2, hidden=6, **settings)
    return with_attention(USUAL, MlpConfig(hidden=8, experts=experts))


KINDS = {
    "heads of keys that divide": with_attention(USUAL),
    "inner values that are computed again": with_attention(USUAL, remat=True),
    "one head of keys": with_attention(replace(USUAL, kv_heads=1)),
    "heads of keys that do not divide": with_attention(replace(SIX, kv_heads=3)),
    "a norm of each head": with_attention(replace(USUAL, qk_norm=RMS)),
    "a norm of all heads": with_attention(replace(USUAL, qk_norm=RMS, qk_norm_whole=True)),
    "biases and a gate": with_attention(replace(USUAL, bias=True, out_bias=True, gated=True)),
    "sinks and a window": with_attention(replace(USUAL, sinks=True, window=3)),
    "biases of distance": with_attention(replace(USUAL, alibi=0.7, rotary=None)),
    "biases of buckets": with_distances(
        "multi_head", RelativeConfig(heads=4, buckets=8, distance=16)
    ),
    "scores of distances": with_distances(
        "disentangled", DisentangledConfig(width=WIDTH, span=6, context=16, norm=RMS)
    ),
    "vectors of keys": with_attention(
        AttentionConfig(
            kind="latent",
            width=WIDTH,
            heads=4,
            head_dim=10,
            interleaved=4,
            latent=LatentConfig(rank=7, turned=4, value_dim=5, query_rank=9, norm=RMS),
        )
    ),
    "the delta rule": with_attention(
        AttentionConfig(
            kind="delta",
            width=WIDTH,
            heads=4,
            head_dim=3,
            delta=DeltaConfig(key_heads=2, key_dim=5, norm=RMS),
        )
    ),
    "experts": with_experts(shared=4, shared_gate=True),
    "experts of sigmoids": with_experts(scoring="sigmoid", choice_bias=True, scale=1.7),
}
"""Small decoders, with sizes that two processes divide."""


def figures(backend: Backend, config: ModelConfig) -> list[float]:
    """Loss and norm of each step, and the sum of each weight after them."""
    trainer = made_trainer(config, backend=backend, policy=DOUBLE)
    state, found = trainer.start(trainer.model.initial(7)), []
    for step in range(STEPS):
        state, result = trainer.step(state, [letters_batch(2, seed=step)])
        found += [result.loss, result.norm]
    weights = trainer.weights(state)
    return found + [float(abs(weights[name]).sum()) for name in sorted(weights)]


def main(name: str, mesh: str, out: Path) -> None:
    """Train each, and process 0 writes what came out."""
    processes = find_processes()
    backend = load_distributed(name, Mesh.parse(mesh), processes)
    found = {kind: figures(backend, config) for kind, config in KINDS.items()}
    if processes.rank == 0:
        out.write_text(json.dumps(found), "utf-8")
    backend.distribution.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
