"""Embeddings: lookup, scale, positions of every kind, segments, norms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import EmbeddingConfig, NormConfig, RotaryConfig
from lmkernel.parameters import nest
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.kinds import POSITIONS
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal, tokens
from lmkernel_conformance.oracle import model, positions

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any

_TOKENS = tokens("components", 2, 5, vocab=11)


def _embedding(config: EmbeddingConfig, segments: Host = None) -> Trial:
    width = config.width
    inputs = {"tokens.weight": normal("embedding.table", 11, width)}
    if config.segments:
        inputs["segments.weight"] = normal("embedding.segments", config.segments, width)
    if config.norm is not None:
        inputs["norm.weight"] = normal("embedding.norm", width)

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


def _rotation(rotary: RotaryConfig, where: Host) -> Trial:
    config = EmbeddingConfig(width=2, vocab=2, positions="rotary", rotary=rotary)

    def native(s: Subject, t: dict[str, Any]) -> list[Any]:
        component = s.factory.create("embedding", config)
        params = {"tokens": {"weight": t["table"]}}
        return list(component(params, s.array(np.zeros_like(where)), s.array(where)).rotation)

    return Trial(
        inputs={"table": normal("rotation.table", 2, 2)},
        native=native,
        formula=lambda ar, _: list(positions.rotation(ar, where, rotary)),
    )


_FAR = np.array([[0, 1, 2, 3, 17, 101], [-1, -1, 0, 1, 1023, 4097]])


@trial(id="rotary.theta", level="components", rows=(9, 10), gradients=False)
def rotary_theta() -> Trial:
    """RoPE with a theta of 5e5, at large positions."""
    return _rotation(RotaryConfig(dim=12, theta=5e5), _FAR)


@trial(id="rotary.linear", level="components", rows=(10,), gradients=False)
def rotary_linear() -> Trial:
    """RoPE with linear scaling: positions are divided by a factor."""
    return _rotation(RotaryConfig(dim=12, scaling="linear", factor=4.0), _FAR)


@trial(id="rotary.llama3", level="components", rows=(10,), gradients=False)
def rotary_llama3() -> Trial:
    """RoPE with Llama 3's scaling: wavelengths below, on and above the ramp."""
    config = RotaryConfig(
        dim=16,
        theta=5e5,
        scaling="llama3",
        factor=8.0,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_context=512,
    )
    return _rotation(config, _FAR)


@trial(id="rotary.yarn", level="components", rows=(10,), gradients=False)
def rotary_yarn() -> Trial:
    """YaRN: frequencies kept, mixed and stretched, and a factor of cosines and sines."""
    config = RotaryConfig(
        dim=16,
        theta=5e3,
        scaling="yarn",
        factor=8.0,
        original_context=256,
        beta_fast=16.0,
        beta_slow=2.0,
        attention_factor=1.25,
    )
    return _rotation(config, _FAR)


@trial(id="rotary.yarn.exact", level="components", rows=(10,), gradients=False)
def rotary_yarn_exact_ends() -> Trial:
    """YaRN whose ramp ends between two frequencies, at both ends of them all."""
    config = RotaryConfig(
        dim=12,
        theta=20.0,
        scaling="yarn",
        factor=3.0,
        original_context=32,
        beta_fast=8.0,
        beta_slow=0.125,
        truncate=False,
    )
    return _rotation(config, _FAR)


@trial(id="rotary.longrope", level="components", rows=(10,), gradients=False)
def rotary_longrope() -> Trial:
    """LongRoPE: a row up to the original context, and one that goes beyond it by one position."""
    config = RotaryConfig(
        dim=6,
        scaling="longrope",
        short_factors=(1.0, 1.25, 1.5),
        long_factors=(2.0, 3.0, 5.0),
        original_context=102,
        attention_factor=1.125,
    )
    return _rotation(config, np.array([[0, 1, 2, 101], [-1, 0, 1, 102]]))


@trial(id="rotary.dynamic", level="components", rows=(10,), gradients=False)
def rotary_dynamic() -> Trial:
    """Dynamic NTK: rows below, at, and far beyond the original context."""
    config = RotaryConfig(dim=10, scaling="dynamic", factor=4.0, original_context=64)
    return _rotation(config, np.array([[0, 1, 63], [-1, 2, 64], [3, 90, 511]]))


@trial(id="rotary.still", level="components", rows=(10,), gradients=False)
def rotary_still() -> Trial:
    """Frequencies that are zero: what they would turn stays."""
    return _rotation(RotaryConfig(dim=10, theta=50.0, still=2), _FAR)


@trial(id="rotary.digits", level="components", rows=(10,), gradients=False)
def rotary_digits() -> Trial:
    """Positions around powers of two, where kernels that split a position go wrong."""
    where = np.array([[255, 256, 257, 511, 512], [4095, 4096, 32767, 32768, 65535]])
    return _rotation(RotaryConfig(dim=6, theta=1e7), where)


@trial(id="rotary.millions", level="components", rows=(10,), gradients=False)
def rotary_millions() -> Trial:
    """The longest contexts, by frequencies that are slow enough to be told in float32."""
    where = np.array([[65536, 131071, 131072], [262144, 1048575, 9999999]])
    return _rotation(RotaryConfig(dim=6, theta=1e12, scaling="linear", factor=1e6), where)
