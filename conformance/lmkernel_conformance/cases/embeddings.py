"""Embeddings: lookup, scale, positions, segments, norms, products, distances."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import DisentangledConfig, EmbeddingConfig, NormConfig, RelativeConfig
from lmkernel.parameters import flatten, nest
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.kinds import POSITIONS
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal, parameters, tokens
from lmkernel_conformance.oracle import model
from lmkernel_conformance.oracle.transformer import normalize

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any

_TOKENS = tokens("components", 2, 5, vocab=11)


def _embedding(config: EmbeddingConfig, segments: Host = None) -> Trial:
    width = config.inner or config.width
    inputs = {"tokens.weight": normal("embedding.table", 11, width)}
    if config.positions == "learned":
        rows = config.context + config.offset
        inputs["positions.weight"] = normal("embedding.positions", rows, width)
    if config.segments:
        inputs["segments.weight"] = normal("embedding.segments", config.segments, width)
    if config.norm is not None:
        inputs["norm.weight"] = normal("embedding.norm", width)
    if config.inner:
        inputs["project.weight"] = normal("embedding.project", config.width, width)
        inputs["project.bias"] = normal("embedding.project.bias", config.width)

    def native(s: Subject, t: dict[str, Any]) -> Any:
        component = s.factory.create("embedding", config)
        kinds = None if segments is None else s.array(segments)
        params = nest(component.declare(), t)
        return component(params, s.array(_TOKENS), s.array(POSITIONS), segments=kinds).hidden

    def formula(ar: Any, t: dict[str, Host]) -> Host:
        own = {f"own.{name}": x for name, x in t.items()}
        return model.embed(ar, _TOKENS, POSITIONS, own, "own", config, segments)

    return Trial(inputs=inputs, native=native, formula=formula)


@trial(id="embedding.one_hot", level="components")
def one_hot() -> Trial:
    """The product with one-hot vectors gives the rows that the gather gives, and its gradients."""
    return _embedding(EmbeddingConfig(width=6, vocab=11, lookup="one_hot"))


@trial(id="embedding.gather", level="components")
def gather() -> Trial:
    """The vocabulary is the table's first axis."""
    return _embedding(EmbeddingConfig(width=6, vocab=11))


@case(level="components", id="embedding.packed")
def packed_table(s: Subject) -> None:
    """Rows of a packed table, by a gather and as a product, are the table's rows bit for bit."""
    table = s.round(normal("embedding.packed", 11, 6))
    for lookup in ("gather", "one_hot"):
        component = s.factory.create("embedding", EmbeddingConfig(width=6, vocab=11, lookup=lookup))
        params = {"tokens": {"weight": s.ops.pack_linear(s.array(table))}}
        got = component(params, s.array(_TOKENS), s.array(POSITIONS)).hidden
        s.equal(lookup, got, table[_TOKENS], s.dtype)


@trial(id="embedding.scale", level="components", rows=(26,))
def scale() -> Trial:
    """A scale that is not a power of two."""
    return _embedding(EmbeddingConfig(width=6, vocab=11, scale=math.sqrt(6)))


@trial(id="embedding.scale_of_two", level="components", rows=(26,))
def scale_of_two() -> Trial:
    """A scale that is a power of two multiplies like any other."""
    return _embedding(EmbeddingConfig(width=6, vocab=11, scale=2.0))


@trial(id="embedding.sinusoidal", level="components", rows=(11,))
def sinusoidal() -> Trial:
    """Sine and cosine interleaved; a padded row has the positions of an unpadded one."""
    return _embedding(EmbeddingConfig(width=6, vocab=11, positions="sinusoidal"))


@trial(id="embedding.sinusoidal.halves", level="components", rows=(11,))
def sinusoidal_halves() -> Trial:
    """All sines before all cosines, of positions that begin at two."""
    return _embedding(
        EmbeddingConfig(width=6, vocab=11, positions="sinusoidal", offset=2, sinusoids="halves")
    )


@trial(id="embedding.sinusoidal.halves_to_last", level="components", rows=(11,))
def sinusoidal_to_last() -> Trial:
    """The same with rates of which the last is 1/10000."""
    return _embedding(
        EmbeddingConfig(width=6, vocab=11, positions="sinusoidal", sinusoids="halves_to_last")
    )


@trial(id="embedding.uncounted", level="components", rows=(11,))
def uncounted() -> Trial:
    """A token that takes no position, in a text and in padding: those after it count on."""
    return _embedding(
        EmbeddingConfig(width=6, vocab=11, positions="learned", context=5, offset=2, uncounted=7)
    )


@trial(id="embedding.uncounted.sinusoidal", level="components", rows=(11,))
def uncounted_sinusoidal() -> Trial:
    """The same of sinusoids, of which the token has none."""
    return _embedding(
        EmbeddingConfig(width=6, vocab=11, positions="sinusoidal", offset=3, uncounted=7)
    )


@trial(id="embedding.inner", level="components")
def inner() -> Trial:
    """A table narrower than hidden vectors: positions and norm before the product with a bias."""
    norm = NormConfig(kind="rms", eps=1e-5)
    return _embedding(
        EmbeddingConfig(width=6, vocab=11, inner=4, positions="sinusoidal", segments=2, norm=norm)
    )


@trial(id="embedding.distances", level="components")
def distances() -> Trial:
    """The table of vectors of distances, handed on as its norm gives it."""
    norm = NormConfig(kind="rms", eps=1e-5)
    relative = DisentangledConfig(width=6, span=3, norm=norm)
    config = EmbeddingConfig(width=6, vocab=11, relative=relative)

    def native(s: Subject, t: dict[str, Any]) -> Any:
        component = s.factory.create("embedding", config)
        params = nest(component.declare(), t)
        return component(params, s.array(_TOKENS), s.array(POSITIONS)).relative

    return Trial(
        inputs={
            "tokens.weight": normal("distances.tokens", 11, 6),
            "relative.weight": normal("distances.table", 6, 6),
            "relative_norm.weight": normal("distances.norm", 6),
        },
        native=native,
        formula=lambda ar, t: normalize(ar, t["relative.weight"], t, "relative_norm", norm),
    )


@case(level="components", id="embedding.biases")
def biases(s: Subject) -> None:
    """Tables of biases by distance are handed on as they are: one, or one for each layer."""
    for count in (1, 2):
        relative = RelativeConfig(heads=2, buckets=4, distance=9, tables=count)
        config = EmbeddingConfig(width=6, vocab=11, relative=relative)
        component = s.factory.create("embedding", config)
        hosts = s.round(parameters(f"embedding.biases.{count}", flatten(component.declare())))
        params = s.arrays(nest(component.declare(), hosts))
        got = component(params, s.array(_TOKENS), s.array(POSITIONS))
        names = [f"relative.layers.{i}.weight" for i in range(count)]
        wanted = [hosts[name] for name in (names if count > 1 else ["relative.weight"])]
        tables = [got.relative, *got.more_relative]
        s.demand("number of tables", expected=count, got=len(tables))
        for i, (table, want) in enumerate(zip(tables, wanted, strict=True)):
            s.equal(f"table {i} of {count}", table, want, s.dtype)


@trial(id="embedding.segments", level="components")
def segment_table() -> Trial:
    """Segments that differ between rows and inside them."""
    segments = np.array([[0, 0, 2, 1, 1], [1, 2, 2, 0, 1]])
    return _embedding(EmbeddingConfig(width=6, vocab=11, segments=3), segments)


@trial(id="embedding.one_segment", level="components")
def one_segment() -> Trial:
    """Without segments given, every token is in segment 0."""
    return _embedding(EmbeddingConfig(width=6, vocab=11, segments=3))


@trial(id="norm.offset", level="components", rows=(16,))
def norm_offset() -> Trial:
    """A family that stores w - 1: the factor is 1 + w."""
    norm = NormConfig(kind="rms", eps=1e-5, offset=1.0)
    return _embedding(EmbeddingConfig(width=6, vocab=11, norm=norm))


@trial(id="norm.no_offset", level="components", rows=(16,))
def norm_plain() -> Trial:
    """A family that stores w: the factor is w."""
    return _embedding(EmbeddingConfig(width=6, vocab=11, norm=NormConfig(kind="rms", eps=1e-5)))
