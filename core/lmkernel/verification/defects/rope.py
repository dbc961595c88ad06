"""Defects of RoPE and of its scalings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel.config import RotaryConfig
from lmkernel.verification.defects import operations as wrong
from lmkernel.verification.defects.common import Candidate, attention_with
from lmkernel.verification.running import Variant
from lmkernel.verification.structure import change_every, single_transformer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.config import ModelConfig

__all__ = ["rope_defects", "scaling_defects"]

_THETAS = (1e4, 1e5, 5e5, 1e6, 5e6)
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
    yield from _layer_defects(config)


def _layer_defects(config: ModelConfig) -> Iterator[Candidate]:
    """Layers that turn by another RoPE than their own."""
    _, stack = single_transformer(config)
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
    if rotary.attention_factor != 1:
        kept = _scaled_with(config, **plain)
        yield Candidate("rope.scaling", f"{words}, but for the attention factor", kept)
        words = "RoPE's attention factor were ignored"
        ignored = _scaled_with(config, attention_factor=1.0)
        yield Candidate("rope.attention_factor", words, ignored)
        words = "RoPE's attention factor were squared"
        squared = _scaled_with(config, attention_factor=rotary.attention_factor**2)
        yield Candidate("rope.attention_factor", words, squared)
    if rotary.scaling != "linear" and rotary.factor > 1:
        words = "every wavelength of RoPE were scaled, the short ones too"
        yield Candidate(
            "rope.linear", words, _scaled_with(config, **{**plain, "scaling": "linear"})
        )
    for factor in _FACTORS:
        if factor != rotary.factor and rotary.factor > 1:
            words = f"the factor of RoPE's scaling were {factor:g} instead of {rotary.factor:g}"
            yield Candidate("rope.factor", words, _scaled_with(config, factor=factor))
    for original in sorted({8192, config.context} - {rotary.original_context}):
        words = f"the original context of RoPE's scaling were {original}"
        changed = _scaled_with(config, original_context=original)
        yield Candidate("rope.original_context", words, changed)
    if rotary.short_factors:
        for name, other in (("short_factors", "long"), ("long_factors", "short")):
            words = f"RoPE had its {other} factors in every row"
            same = getattr(rotary, f"{other}_factors")
            yield Candidate(f"rope.{name}", words, _scaled_with(config, **{name: same}))
    if rotary.scaling == "yarn":
        words = "the ends of YaRN's ramp were rounded, or not, the other way"
        yield Candidate("rope.truncate", words, _scaled_with(config, truncate=not rotary.truncate))


def _rotary_with(config: ModelConfig, **changes: Any) -> Variant:
    return Variant(config=change_every(config, RotaryConfig, lambda r: replace(r, **changes)))


def _scaled_with(config: ModelConfig, **changes: Any) -> Variant:
    def change(own: RotaryConfig) -> RotaryConfig:
        return own if own.scaling == "none" else replace(own, **changes)

    return Variant(config=change_every(config, RotaryConfig, change))
