"""Rotary positions in a configuration: one dictionary, which two keys may hold, and a base.

``rope_parameters`` is the name of transformers 5, ``rope_scaling`` the one before it. Of both,
transformers takes ``rope_scaling`` unless it is empty.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.config import RotaryConfig
from lmkernel.families.hf_config import HfConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ROPE_KEYS", "longrope_table", "read_rope", "unused_rope_keys", "write_rope"]

_TABLES = ("rope_scaling", "rope_parameters")
_ORIGINAL = "original_max_position_embeddings"
_PARTIAL = "partial_rotary_factor"
_LISTS: Mapping[str, str] = MappingProxyType(
    {"short_factor": "short_factors", "long_factor": "long_factors"}
)
_NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "default": (),
        "linear": ("factor",),
        "dynamic": ("factor",),
        "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
        "yarn": ("factor",),
        "longrope": (),
    }
)
"""The numbers that each kind must have; transformers has no default for them."""
_MORE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "llama3": (_ORIGINAL,),
        "yarn": (
            *("attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim"),
            *("truncate", _ORIGINAL),
        ),
        "longrope": (*_LISTS, "factor", "attention_factor", _ORIGINAL),
    }
)
"""What else they use."""
_OF_PICTURES = ("mrope_section", "mrope_interleaved")
"""Which of a patch's three places turns which pair of a head; a token has the same three times."""
ROPE_KEYS: Mapping[str, Any] = MappingProxyType(
    {"rope_parameters": None, "rope_scaling": None, "rope_theta": 10000.0, _ORIGINAL: None}
)
"""The keys that are read here, with what they are where a file does not have them."""


def read_rope(
    config: HfConfig, head_dim: int, context: int, *, partial: float | None = None
) -> RotaryConfig:
    """The rotary positions of a configuration.

    Args:
        config: the configuration.
        head_dim: number of elements of a head.
        context: the model's number of positions.
        partial: the share of a head that is turned where nothing says, in a family of which not
            all may be; None in the others.

    Raises:
        CheckpointError: a kind that is not supported, or a number that it needs is missing.
    """
    theta = _base(config, 10000.0)
    table = config.part(*_TABLES)
    dim = _turned_size(config, table, head_dim, partial)
    if table is None:
        return RotaryConfig(dim=dim, theta=theta)
    for key, value in table.values.items():
        if isinstance(value, dict):
            raise table.error(key, "one set of rotary parameters for all layers", value)
    kind = _kind(table)
    found: dict[str, Any] = {key: table.number(key) for key in _NEEDED[kind]}
    # one beside the dictionary goes before the one in it, as Phi-3 has both
    holder = config if config.has(_ORIGINAL) else table
    original = context
    if _ORIGINAL in _MORE.get(kind, ()):
        original = holder.whole(_ORIGINAL, context, least=2)  # its logarithm divides
    if kind == "llama3":
        low, high = table.positive_number("low_freq_factor"), found["high_freq_factor"]
        if high <= low:
            raise table.error("high_freq_factor", f"more than low_freq_factor={low}", high)
    if kind == "yarn":
        found |= _yarn(table, found["factor"])
    if kind == "longrope":
        stretch = table.number("factor", context / original)
        usual = math.sqrt(1 + math.log(stretch) / math.log(original)) if stretch > 1 else 1.0
        found = {ours: _factors(table, key, dim // 2) for key, ours in _LISTS.items()}
        found["attention_factor"] = table.number("attention_factor", usual)
    if kind not in ("default", "linear"):
        found["original_context"] = original
    kind = "none" if kind == "default" else kind
    return RotaryConfig(dim=dim, theta=_base(table, theta), scaling=kind, **found)


def _turned_size(
    config: HfConfig, table: HfConfig | None, head_dim: int, partial: float | None
) -> int:
    """How many elements of a head are turned."""
    if partial is None:
        if table is not None:
            table.refuse(partial_rotary_factor=1.0)
        return head_dim
    holder, share = config, config.number(_PARTIAL, partial)
    if table is not None:
        holder, share = table, table.number(_PARTIAL, share)
    if not 0 < int(head_dim * share) <= head_dim:
        what = f"a share of {head_dim} elements, above 0 and at most 1"
        raise holder.error(_PARTIAL, what, share)
    return int(head_dim * share)


def write_rope(rotary: RotaryConfig, context: int, head_dim: int = 0) -> dict[str, Any]:
    """The keys that `read_rope` reads; null where there is nothing, in place of what was there.

    A ``head_dim`` is that of a family of which not all of a head may be turned.
    """
    table: dict[str, Any] | None = None
    if rotary.scaling == "longrope":
        table = longrope_table(rotary.short_factors, rotary.long_factors, rotary.original_context)
        table["attention_factor"] = rotary.attention_factor
        table["factor"] = max(1.0, context / rotary.original_context)
    elif rotary.scaling != "none":
        more = {_ORIGINAL: rotary.original_context} if rotary.scaling in _MORE else {}
        keys = _NEEDED[rotary.scaling]
        if rotary.scaling == "yarn":
            keys += ("attention_factor", "beta_fast", "beta_slow", "truncate")
        table = {"rope_type": rotary.scaling, **{key: getattr(rotary, key) for key in keys}, **more}
    if head_dim:
        share = rotary.dim / head_dim
        table = {**(table or {"rope_type": "default"}), "rope_theta": rotary.theta, _PARTIAL: share}
    return {"rope_theta": rotary.theta, "rope_scaling": table, "rope_parameters": None}


def longrope_table(short: Sequence[float], long: Sequence[float], original: int) -> dict[str, Any]:
    """The dictionary for divisors of each frequency, of short texts and of long ones."""
    return {
        "rope_type": "longrope",
        "short_factor": list(short),
        "long_factor": list(long),
        "factor": 1.0,
        "attention_factor": 1.0,
        _ORIGINAL: original,
    }


def unused_rope_keys(
    config: HfConfig, instead: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """What the dictionary holds and its kind does not use, or the other dictionary, by name.

    Args:
        config: the configuration.
        instead: usual keys that are passed over, each with the one that is read instead; either is
            named where it says something else than what is used.
    """
    table = config.part(*_TABLES)
    others = _passed_over(config, table, instead)
    if table is None or any(isinstance(value, dict) for value in table.values.values()):
        return others  # a dictionary for each kind of layer, which its family reads
    kind = _kind(table)
    used = {"rope_type", "type", "rope_theta", "partial_rotary_factor"}
    used |= {*_NEEDED[kind], *_MORE.get(kind, ()), *_OF_PICTURES}
    [first, *second] = [name for name in _TABLES if config.values.get(name)]
    beside = config.values.get("rope_theta")
    if "rope_theta" not in instead and beside is not None:
        others += ["rope_theta"] if table.values.get("rope_theta", beside) != beside else []
    return [*second, *others, *(f"{first}.{key}" for key in table.values if key not in used)]


def _passed_over(config: HfConfig, table: HfConfig | None, instead: Mapping[str, str]) -> list[str]:
    """Keys beside the dictionary that say something else than what is used."""
    found = []
    for usual, own in instead.items():
        inside = None if table is None else table.values.get(usual)
        used = config.values.get(own) if inside is None else inside
        found += [key for key in (usual, own) if config.values.get(key) not in (None, used)]
    return found


def _kind(table: HfConfig) -> str:
    """The kind, under its name of today or the one before."""
    key = "rope_type" if table.has("rope_type") else "type"
    return str(table.choice(key, {kind: kind for kind in _NEEDED}, "default"))


def _yarn(table: HfConfig, factor: float) -> dict[str, Any]:
    """YaRN's ramp, and its factor of cosines and sines (arXiv:2309.00071, §3.4)."""

    def growth(weight: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1

    parts = [table.number(key, 0.0) for key in ("mscale", "mscale_all_dim")]
    usual = growth(parts[0]) / growth(parts[1]) if all(parts) else growth(1.0)
    return {
        "attention_factor": table.number("attention_factor", usual),
        "beta_fast": table.number("beta_fast", 32.0) or 32.0,
        "beta_slow": table.number("beta_slow", 1.0) or 1.0,
        "truncate": table.flag("truncate", default=True),
    }


def _factors(table: HfConfig, key: str, pairs: int) -> tuple[float, ...]:
    """One divisor for each pair of a head."""
    value = table.values.get(key)
    if not isinstance(value, list) or len(value) != pairs:
        raise table.error(key, f"a list of {pairs} numbers, one for each pair of a head", value)
    return tuple(HfConfig({key: item}, table.where).number(key) for item in value)


def _base(holder: HfConfig, default: float) -> float:
    theta = holder.number("rope_theta", default)
    if theta <= 1:
        raise holder.error("rope_theta", "a number above 1", theta)
    return theta
