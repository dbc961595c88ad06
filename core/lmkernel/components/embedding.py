"""Token embeddings with positions and segments, and inputs that are vectors already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.components.configured import Configured
from lmkernel.components.positions import count_uncounted, sinusoids
from lmkernel.components.primitives import (
    apply_dropout,
    declare_linear,
    declare_norm,
    normalize,
    scale,
)
from lmkernel.components.rotary import Rotation
from lmkernel.config import EmbeddingConfig
from lmkernel.interfaces import Embedded, Embedding, Init, Param, ParamTree, project

if TYPE_CHECKING:
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Factory

__all__ = ["TokenEmbedding", "VectorEmbedding"]

_NORMAL = Init("normal", 0.02)


@final
class TokenEmbedding(Configured[EmbeddingConfig], Embedding):
    """Row ``token`` of a table ``(vocab, width)``, plus what tells positions and segments apart."""

    def __init__(self, ops: Ops, config: EmbeddingConfig) -> None:
        super().__init__(ops, config)
        self._rotations = [Rotation(ops, rotary) for rotary in config.rotaries]

    def declare(self) -> ParamTree:
        c = self._config
        width, axis = c.table_width, "inner" if c.inner else "embed"
        table = Param((c.vocab, width), _NORMAL, ("vocab", axis), linear=True)
        tree: dict[str, Any] = {} if c.shared else {"tokens": {"weight": table}}
        if c.positions == "learned":
            shape = (c.context + c.offset, width)
            tree["positions"] = {"weight": Param(shape, _NORMAL, ("position", axis))}
        if c.segments:
            shape = (c.segments, width)
            tree["segments"] = {"weight": Param(shape, _NORMAL, ("segment", axis))}
        if c.norm is not None:
            tree["norm"] = declare_norm(width, c.norm)
        if c.inner:
            tree["project"] = declare_linear(c.width, c.inner, ("embed", "inner"), bias=True)
        if (r := c.relative) is not None:
            one = {"weight": Param(r.shape, _NORMAL, ("bucket", "embed"))}
            tree["relative"] = {"layers": [one] * r.tables} if r.tables > 1 else one
            if r.norm is not None:
                tree["relative_norm"] = declare_norm(r.shape[1], r.norm)
        return tree

    def __call__(
        self,
        params: dict[str, Any],
        inputs: Array,
        positions: Array,
        *,
        segments: Array | None = None,
        key: Array | None = None,
    ) -> Embedded:
        ops, c = self._ops, self._config
        hidden = scale(ops, self._rows(params["tokens"]["weight"], inputs), c.scale)
        # padding has position -1, which is no row of a table; what it gets is masked everywhere
        real = ops.maximum(positions, ops.full((), 0, "int32"))
        if c.positions in ("learned", "sinusoidal"):
            hidden = hidden + self._places(params, inputs, positions, real, ops.dtype(hidden))
        if c.segments:
            which = segments if segments is not None else ops.full(inputs.shape, 0, "int32")
            hidden = hidden + ops.take_rows(params["segments"]["weight"], which)
        if c.norm is not None:
            hidden = normalize(ops, hidden, params["norm"], c.norm)
        # RoPE's angles are made here, once for all layers, which only turn by them
        angles = [turn(real, ops.dtype(hidden)) for turn in self._rotations]
        hidden = apply_dropout(ops, hidden, c.dropout, key, 0)
        if c.inner:
            hidden = project(ops, hidden, params["project"])
        first, more = angles[0] if angles else None, tuple(angles[1:])
        table, *others = self._distances(params)
        return Embedded(hidden, positions, first, more, table, tuple(others))

    def _places(
        self, params: dict[str, Any], tokens: Array, positions: Array, slots: Array, dtype: DType
    ) -> Array:
        """What tells positions apart, ``(batch, time, width)``: rows of a table, or sinusoids.

        Args:
            params: as declared.
            tokens: int32 ``(batch, time)``, some of which may take no position.
            positions: int32 ``(batch, time)``, -1 at padding.
            slots: the same without negative ones.
            dtype: of sinusoids.
        """
        ops, c, absent = self._ops, self._config, None
        if c.uncounted is not None:
            absent, before = count_uncounted(ops, tokens, positions, c.uncounted)
            slots = ops.maximum(slots - before, ops.full((), 0, "int32"))
            slots = ops.where(absent, ops.full((), -1, "int32"), slots)
        slots = slots + ops.full((), c.offset, "int32")
        if c.positions == "learned":
            return ops.take_rows(params["positions"]["weight"], slots)
        waves = sinusoids(ops, slots, c.table_width, dtype, c.sinusoids)
        if absent is None:
            return waves
        absent = ops.reshape(absent, (*absent.shape, 1))
        return ops.where(absent, ops.full((), 0.0, dtype), waves)

    def _distances(self, params: dict[str, Any]) -> list[Array | None]:
        """The tables of distances, normalised where they are."""
        relative = self._config.relative
        if relative is None:
            return [None]
        if relative.tables > 1:
            return [layer["weight"] for layer in params["relative"]["layers"]]
        table = params["relative"]["weight"]
        if relative.norm is None:
            return [table]
        return [normalize(self._ops, table, params["relative_norm"], relative.norm)]

    def weight(self, params: dict[str, Any]) -> Array:
        return params["tokens"]["weight"]

    def _rows(self, table: Array, tokens: Array) -> Array:
        """Rows of the table: a gather, or the same by a product with one-hot vectors."""
        if self._config.lookup == "gather":
            return self._ops.take_rows(table, tokens)
        rows = self._ops.unpack_linear(table)
        hot = self._ops.one_hot(tokens, self._config.vocab, self._ops.dtype(rows))
        return self._ops.linear(hot, self._ops.permute_dims(rows, (1, 0)))


@final
class VectorEmbedding(Embedding):
    """The inputs are the vectors, as in the tutorial's programs."""

    @classmethod
    def build(cls, factory: Factory, config: EmbeddingConfig) -> Self:
        del factory, config
        return cls()

    def declare(self) -> ParamTree:
        return {}

    def __call__(
        self,
        params: dict[str, Any],
        inputs: Array,
        positions: Array,
        *,
        segments: Array | None = None,
        key: Array | None = None,
    ) -> Embedded:
        del params, segments, key
        return Embedded(inputs, positions)

    def weight(self, params: dict[str, Any]) -> Array:
        del params
        raise TypeError("expected an embedding with a table, got one of vectors")
