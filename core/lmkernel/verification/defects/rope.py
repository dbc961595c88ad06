"""Defects of RoPE and of its scalings."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.config import RotaryConfig
from lmkernel.verification.defects import operations as wrong
from lmkernel.verification.defects.common import Candidate, attention_with
from lmkernel.verification.one_run import Variant
from lmkernel.verification.structure import change_every, top_transformer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lmkernel.config import ModelConfig

__all__ = ["rope_defects", "scaling_defects"]

_THETAS = (1e4, 1e5, 5e5, 1e6, 5e6)
_RAMPS: Mapping[str, Mapping[tuple[str, str], tuple[float, float]]] = MappingProxyType(
    {
        "yarn": {("beta_fast", "beta_slow"): (32.0, 1.0)},
        "llama3": {("low_freq_factor", "high_freq_factor"): (1.0, 4.0)},
    }
)
"""The ends of a scaling's ramp, with what they usually are."""
_FACTORS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 40.0)


def rope_defects(config: ModelConfig) -> Iterator[Candidate]:
    """Its base, its direction, and which elements it turns."""
    rotary = config.embedding.rotary
    if rotary is None:
        return
    for theta in _THETAS:
        if theta != rotary.theta:
            words = f"RoPE's theta were {theta:g} instead of {rotary.theta:g}"
            yield Candidate("rope.theta", words, _rotary_with(config, theta=theta))
    if rotary.dim > 2:  # noqa: PLR2004 - of one pair both orders are the same
        words = "RoPE turned neighbouring elements instead of the two halves"
        turned = Variant(operations={"rotate": wrong.interleave_pairs})
        yield Candidate("rope.interleaved", words, turned)
    backwards = Variant(operations={"rotate": wrong.rotate_backwards})
    yield Candidate("rope.direction", "RoPE turned the other way", backwards)
    still = Variant(operations={"rotate": wrong.rotate_nothing})
    yield Candidate("rope.none", "there were no RoPE", still)
    yield from _part_defects(rotary, config)
    yield from _layer_defects(config)


def _part_defects(rotary: RotaryConfig, config: ModelConfig) -> Iterator[Candidate]:
    """What is turned: more of a head, other pairs of it, or queries or keys alone."""
    _, stack = top_transformer(config)
    own = stack.attention
    for queries, what in ((True, "queries"), (False, "keys")):
        # in one call, or told apart by their number
        if own.qk_norm is None or own.heads != own.kv_heads:
            some = wrong.rotate_some(own.heads, own.kv_heads, queries=queries)
            words = f"RoPE turned {what} alone"
            yield Candidate("rope.one", words, Variant(operations={"rotate": some}))
    plain = not (own.latent or own.interleaved or rotary.short_factors or rotary.still)
    if plain and rotary.dim < own.head_dim:
        words = f"RoPE turned the whole head of {own.head_dim}, not {rotary.dim} of its elements"
        yield Candidate("rope.partial", words, _rotary_with(config, dim=own.head_dim))
        words = "RoPE turned pairs of the whole head, not of the part that it turns"
        more = {"dim": own.head_dim, "still": (own.head_dim - rotary.dim) // 2}
        yield Candidate("rope.partial", words, _rotary_with(config, **more))


def _layer_defects(config: ModelConfig) -> Iterator[Candidate]:
    """Layers that turn by another RoPE than their own."""
    _, stack = top_transformer(config)
    used = {stack.layer(i).attention.rotary for i in range(stack.layers)}
    for which in range(len(config.embedding.rotaries)):
        if used != {which}:
            words = f"every layer turned by the same RoPE, of theta {_theta(config, which):g}"
            yield Candidate("rope.layers", words, attention_with(config, rotary=which))


def _theta(config: ModelConfig, which: int) -> float:
    return config.embedding.rotaries[which].theta


def scaling_defects(config: ModelConfig) -> Iterator[Candidate]:
    """Its scaling: ignored, of another kind, or with another factor."""
    scaled = [one for one in config.embedding.rotaries if one.scaling != "none"]
    if not scaled:
        return
    rotary = scaled[0]
    plain: dict[str, Any] = {"scaling": "none", "short_factors": (), "long_factors": ()}
    words = "RoPE's scaling were ignored"
    yield Candidate("rope.scaling", words, _scaled_with(config, **plain, attention_factor=1.0))
    if rotary.theta != _THETAS[0]:
        usual = {**plain, "attention_factor": 1.0, "theta": _THETAS[0]}
        text = f"{words}, and its theta were {_THETAS[0]:g} instead of {rotary.theta:g}"
        yield Candidate("rope.default", text, _scaled_with(config, **usual))
    yield from _attention_factor_defects(rotary, config, plain)
    if rotary.scaling != "linear" and rotary.factor > 1:
        words = "every wavelength of RoPE were scaled, the short ones too"
        yield Candidate(
            "rope.linear", words, _scaled_with(config, **{**plain, "scaling": "linear"})
        )
    for factor in _FACTORS:
        if factor != rotary.factor and rotary.factor > 1:
            words = f"the factor of RoPE's scaling were {factor:g} instead of {rotary.factor:g}"
            yield Candidate("rope.factor", words, _scaled_with(config, factor=factor))
    yield from _ramp_defects(rotary, config)
    for original in sorted({8192, config.context} - {rotary.original_context}):
        words = f"the original context of RoPE's scaling were {original}"
        changed = _scaled_with(config, original_context=original)
        yield Candidate("rope.original_context", words, changed)
    if rotary.short_factors:
        for name, other in (("short_factors", "long"), ("long_factors", "short")):
            words = f"RoPE had its {other} factors in every row"
            same = getattr(rotary, f"{other}_factors")
            yield Candidate(f"rope.{name}", words, _scaled_with(config, **{name: same}))
    if len(scaled) < len(config.embedding.rotaries):
        words = "the scaling of one kind of layers were every layer's"
        every = change_every(config, RotaryConfig, lambda own: _scaled_like(own, rotary))
        yield Candidate("rope.scaling", words, Variant(config=every))


def _scaled_like(own: RotaryConfig, other: RotaryConfig) -> RotaryConfig:
    """With its own theta, and all else another's, where they turn as many elements."""
    return own if own.dim != other.dim else replace(other, theta=own.theta)


def _attention_factor_defects(
    rotary: RotaryConfig, config: ModelConfig, plain: Mapping[str, Any]
) -> Iterator[Candidate]:
    """The factor of cosines and sines: alone, missing, or twice."""
    if rotary.attention_factor == 1:
        return
    words = "RoPE's scaling were ignored, but for the attention factor"
    kept = _scaled_with(config, **plain)
    yield Candidate("rope.scaling", words, kept)
    words = "RoPE's attention factor were ignored"
    ignored = _scaled_with(config, attention_factor=1.0)
    yield Candidate("rope.attention_factor", words, ignored)
    words = "RoPE's attention factor were squared"
    squared = _scaled_with(config, attention_factor=rotary.attention_factor**2)
    yield Candidate("rope.attention_factor", words, squared)


def _ramp_defects(rotary: RotaryConfig, config: ModelConfig) -> Iterator[Candidate]:
    """Where the ramp between what is scaled and what is not begins and ends."""
    for names, usual in _RAMPS.get(rotary.scaling, {}).items():
        own = tuple(getattr(rotary, name) for name in names)
        for values in dict.fromkeys((usual, own[::-1])):
            if values != own and values[0] != values[1]:
                words = f"{' and '.join(names)} were {values[0]:g} and {values[1]:g}"
                changed = _scaled_with(config, **dict(zip(names, values, strict=True)))
                yield Candidate("rope.ramp", words, changed)
    if rotary.scaling == "yarn":
        words = "the ends of YaRN's ramp were rounded, or not, the other way"
        yield Candidate("rope.truncate", words, _scaled_with(config, truncate=not rotary.truncate))


def _rotary_with(config: ModelConfig, **changes: Any) -> Variant:
    return Variant(config=change_every(config, RotaryConfig, lambda r: replace(r, **changes)))


def _scaled_with(config: ModelConfig, **changes: Any) -> Variant:
    def change(own: RotaryConfig) -> RotaryConfig:
        return own if own.scaling == "none" else replace(own, **changes)

    return Variant(config=change_every(config, RotaryConfig, change))
