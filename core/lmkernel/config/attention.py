"""Attention: heads, what they see, and how queries and keys are treated before they meet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final

from lmkernel.config.check import frozen_options, positive, require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.config.delta import DeltaConfig
    from lmkernel.config.norm import NormConfig

__all__ = ["AttentionConfig", "DisentangledConfig", "LatentConfig", "RelativeConfig"]

_FARTHEST = 1 << 20
"""The largest distance that a table of buckets has a row for."""


@final
@dataclass(frozen=True, kw_only=True)
class RelativeConfig:
    """Learned biases of the scores by distance, in buckets (arXiv:1910.10683, §2.1).

    Args:
        heads: number of query heads.
        buckets: number of buckets; where a position sees both ways, half of them for each way.
        distance: from where on all distances share the last bucket.
        tables: number of tables of biases that the embedding holds.
        table: which of them, from 0, is the layer's.
    """

    heads: int
    buckets: int = 32
    distance: int = 128
    tables: int = 1
    table: int = 0

    def __post_init__(self) -> None:
        positive(self, "heads", "buckets", "distance", "tables")
        there = 0 <= self.table < self.tables
        require(self, "table", f"one of tables={self.tables}, from 0", ok=there)
        require(self, "buckets", "at least 4", ok=self.buckets >= 4)  # noqa: PLR2004 - two a way
        require(self, "distance", "more than buckets", ok=self.distance > self.buckets)
        require(self, "distance", f"at most {_FARTHEST}", ok=self.distance <= _FARTHEST)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of a table."""
        return self.buckets, self.heads

    @property
    def norm(self) -> None:
        """Its table is not normalised."""


@final
@dataclass(frozen=True, kw_only=True)
class DisentangledConfig:
    """Scores between contents and distances, beside those of contents (arXiv:2006.03654, §3).

    Args:
        width: hidden size, of the vectors of distances.
        span: number of distances each way that have a vector; those beyond have the last one's.
        context: where distances beyond half of ``span`` share vectors, in buckets that grow with
            them, the number of positions; 0 where none share.
        queries: whether queries score distances.
        keys: whether keys do.
        own: whether distances have products of their own, and not those of queries and keys.
        norm: normalisation of the vectors, or None.
    """

    width: int
    span: int
    context: int = 0
    queries: bool = True
    keys: bool = True
    own: bool = False
    norm: NormConfig | None = None
    tables: ClassVar[int] = 1

    def __post_init__(self) -> None:
        positive(self, "width", "span")
        some = self.queries or self.keys
        require(self, "queries", "queries or keys that score distances", ok=some)
        far = not self.context or (self.span > 3 and self.context > self.span // 2 + 1)  # noqa: PLR2004 - a logarithm of more than 1
        require(self, "context", f"0, or more than half of span={self.span}", ok=far)
        require(self, "context", f"at most {_FARTHEST}", ok=self.context <= _FARTHEST)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of its table."""
        return 2 * self.span, self.width


@final
@dataclass(frozen=True, kw_only=True)
class LatentConfig:
    """Keys and values that each position keeps as one small vector (arXiv:2405.04434, §2.1).

    Args:
        rank: size of the vector, of which all heads make their keys and values.
        turned: elements of a head, the last ones, that RoPE turns; keys share theirs.
        value_dim: size of a head's value.
        query_rank: size of the vector of which queries are made; 0 where they are not.
        norm: normalisation of both vectors.
    """

    rank: int
    turned: int
    value_dim: int
    query_rank: int = 0
    norm: NormConfig

    def __post_init__(self) -> None:
        positive(self, "rank", "turned", "value_dim")
        require(self, "query_rank", "0 or more", ok=self.query_rank >= 0)


@final
@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Attention: ``"multi_head"``, ``"disentangled"``, ``"latent"``, ``"delta"`` or a plugin's.

    Args:
        width: hidden size.
        heads: number of query heads; of ``"delta"``, of heads of values.
        kv_heads: number of key and value heads, a divisor of ``heads``; by default the same number.
        head_dim: size of a head; by default ``width / heads``. Of ``"delta"``, of a value.
        bias: whether queries, keys and values have biases.
        key_bias: whether, where queries and values have biases, keys do.
        out_bias: whether the output product has a bias.
        scale: factor of q·k; by default ``head_dim ** -0.5``, the size being a key's.
        window: number of positions back that a query sees, itself included; None for all.
        softcap: bound of the scores, or None.
        memory_width: hidden size of what cross-attention looks at; 0 for self-attention.
        qk_norm: normalisation of each head of queries and keys before RoPE (arXiv:2302.05442, §2),
            or None; for self-attention.
        qk_norm_whole: whether ``qk_norm`` runs over all heads together (OLMo 2) and not over each.
        alibi: factor of linear biases, each head's slope times the distance (arXiv:2108.12409, §3),
            which are added to the scores; 0 for none.
        relative: the biases by distance that are added to the scores, or for ``"disentangled"``
            the scores of distances; their table is the embedding's. None for none.
        rotary: which of the embedding's RoPEs turns queries and keys, from 0; None for none.
        interleaved: number of elements of a head, from the first, in which RoPE turns neighbours,
            2i with 2i + 1, and not i with i + half; 0 for none.
        latent: what keys and values are made of, for ``"latent"``; else None.
        delta: how the past is kept as a matrix, for ``"delta"``; else None.
        gated: whether each element of the heads' output is multiplied by a sigmoid of a product of
            the input (arXiv:2505.06708); for ``"multi_head"`` self-attention.
        sinks: whether each head has a learned score of nothing (arXiv:2309.17453), which takes part
            in the softmax and adds nothing to the output; for self-attention.
        options: settings of a plugin's kind.
    """

    kind: str = "multi_head"
    width: int
    heads: int
    kv_heads: int = 0
    head_dim: int = 0
    bias: bool = False
    key_bias: bool = True
    out_bias: bool = False
    scale: float = 0.0
    window: int | None = None
    softcap: float | None = None
    memory_width: int = 0
    qk_norm: NormConfig | None = None
    qk_norm_whole: bool = False
    alibi: float = 0.0
    relative: RelativeConfig | DisentangledConfig | None = None
    rotary: int | None = 0
    interleaved: int = 0
    latent: LatentConfig | None = None
    delta: DeltaConfig | None = None
    gated: bool = False
    sinks: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frozen_options(self)
        positive(self, "width", "heads")
        if not self.head_dim:
            require(self, "width", f"a multiple of heads={self.heads}", ok=not self._remainder())
        self._default("kv_heads", self.heads)
        self._default("head_dim", self.width // self.heads)
        positive(self, "kv_heads", "head_dim")
        require(self, "memory_width", "0 or more", ok=self.memory_width >= 0)
        usual = self.key_bias or self.kind == "multi_head"
        require(self, "key_bias", 'True but for "multi_head"', ok=usual)
        without = self.qk_norm is None or not self.memory_width
        require(self, "qk_norm", "None where there is a memory", ok=without)
        require(
            self,
            "sinks",
            "False where there is a memory",
            ok=not (self.sinks and self.memory_width),
        )
        self._default("scale", (self.delta.key_dim if self.delta else self.head_dim) ** -0.5)
        pairs = self.interleaved in range(0, self.head_dim + 1, 2)
        require(self, "interleaved", f"even, at most head_dim={self.head_dim}", ok=pairs)
        divides = self.heads % self.kv_heads == 0
        require(self, "kv_heads", f"a divisor of heads={self.heads}", ok=divides)
        require(self, "window", "None or at least 1", ok=self.window is None or self.window > 0)
        fits = isinstance(self.relative, DisentangledConfig) == (self.kind == "disentangled")
        require(self, "relative", "a DisentangledConfig exactly for its kind", ok=fits)
        latent = (self.latent is not None) == (self.kind == "latent")
        require(self, "latent", "a LatentConfig exactly for its kind", ok=latent)
        part = self.latent is None or self.latent.turned < self.head_dim
        require(self, "latent", f"fewer turned elements than head_dim={self.head_dim}", ok=part)
        require(self, "rotary", "None or 0 or more", ok=self.rotary is None or self.rotary >= 0)
        alone = self.kind == "multi_head" and not self.memory_width
        require(self, "gated", 'False but for "multi_head" alone', ok=alone or not self.gated)
        self._check_delta()

    def _check_delta(self) -> None:
        fits = (self.delta is not None) == (self.kind == "delta")
        require(self, "delta", "a DeltaConfig exactly for its kind", ok=fits)
        if self.delta is None:
            return
        heads = self.delta.key_heads
        require(self, "heads", f"a multiple of key_heads={heads}", ok=self.heads % heads == 0)
        others = (self.bias, self.out_bias, self.window, self.softcap, self.memory_width)
        plain = not any((*others, self.qk_norm, self.alibi, self.relative, self.sinks))
        require(self, "delta", "no biases, window, bound, norms, distances or sinks", ok=plain)

    def _remainder(self) -> int:
        return self.width % self.heads

    def _default(self, name: str, value: float) -> None:
        if not getattr(self, name):
            object.__setattr__(self, name, value)
