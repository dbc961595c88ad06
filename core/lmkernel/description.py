"""What a loaded model is: its family, its sizes, and the memory that it takes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.dtypes import STORED_DTYPES
from lmkernel.config import TransformerConfig
from lmkernel.parameters import flatten
from lmkernel.results import Result, human_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.language_model import LanguageModel

__all__ = ["Description", "describe"]


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Description(Result):
    """A model described.

    Args:
        name: what it was asked for by.
        family: its ``model_type``.
        parameters: how many numbers it has learnt.
        by_part: the same for embedding, encoder, decoder and head.
        layers, width, heads, vocab, context: its sizes; 0 where it has none.
        backend, device, dtype: where and in what it computes.
        weight_bytes: memory of the weights as they are held.
        cache_bytes: memory of the KV cache for each token of one row.
        weights: how they are held, where they are not all numbers.
    """

    name: str
    family: str
    parameters: int
    by_part: Mapping[str, int]
    layers: int
    width: int
    heads: int
    vocab: int
    context: int
    backend: str
    device: str
    dtype: str
    weight_bytes: int
    cache_bytes: int
    weights: str = ""

    def rows(self) -> list[list[str]]:
        """Its table."""
        parts = ", ".join(f"{part} {count:,}" for part, count in self.by_part.items())
        sizes = (
            f"{self.layers} layers, hidden size {self.width}, {self.heads} heads, "
            f"vocabulary {self.vocab:,}, context {self.context:,}"
        )
        memory = f"weights {human_size(self.weight_bytes)}"
        memory += f", {self.weights}" if self.weights else ""
        if self.cache_bytes:
            memory += f", KV cache {human_size(self.cache_bytes)} a token"
        return [
            ["MODEL", self.name],
            ["family", self.family],
            ["parameters", f"{self.parameters:,} ({parts})"],
            ["sizes", sizes],
            ["runs on", f"{self.backend}, {self.device}, {self.dtype}"],
            ["memory", memory],
        ]

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {**asdict(self), "by_part": dict(self.by_part)}

    def __repr__(self) -> str:
        return f"Description({self.name!r}, {self.family}, {self.parameters:,} parameters)"


def describe(model: LanguageModel) -> Description:
    """A loaded model's description."""
    config, declared = model.model.config, model.model.declare()
    by_part = {
        part: sum(math.prod(param.shape) for param in flatten(tree).values())
        for part, tree in declared.items()
    }
    stack: Any = config.decoder or config.encoder
    transformer = stack if isinstance(stack, TransformerConfig) else None
    size = STORED_DTYPES[model.model.policy.compute].itemsize
    cached = 0
    if transformer is not None and config.decoder is not None:
        attention = transformer.attention
        cached = 2 * transformer.layers * attention.kv_heads * attention.head_dim * size
    total = sum(by_part.values())
    return Description(
        name=model.origin.name,
        family=model.origin.model_type,
        parameters=total,
        by_part=by_part,
        layers=getattr(stack, "layers", 0),
        width=config.embedding.width,
        heads=transformer.attention.heads if transformer else 0,
        vocab=config.embedding.vocab or config.vocab,
        context=config.context,
        backend=model.backend.name,
        device=model.backend.device,
        dtype=model.model.policy.compute,
        weight_bytes=model.holding.bytes if model.holding else total * size,
        cache_bytes=cached,
        weights=str(model.holding) if model.holding else "",
    )
