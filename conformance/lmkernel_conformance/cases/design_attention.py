"""Attention by design: every three of its options together, and extents where kernels change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.designed import MOST, designed
from lmkernel_conformance.cases.trial import Trial
from lmkernel_conformance.inputs import extent, normal, uniform
from lmkernel_conformance.oracle import attention as oracle
from lmkernel_conformance.oracle import positions

if TYPE_CHECKING:
    from lmkernel_conformance.designs import Row

Host = Any

_BATCH, _WIDTH, _BEHIND = 2, 5, 4
_RISE = 6.0
"""By how much scores rise or fall over all slots: later blocks then matter more, or less."""


def _heads(row: Row) -> tuple[int, int]:
    """Key heads, and query heads for each of them."""
    kv, group = row["heads"].split("x")
    return int(kv), int(group)


def _mask(kind: str, batch: int, heads: int, time: int, slots: int, purpose: str) -> Host:
    """A mask of one kind; no slot is hidden from all but by padding."""
    queries = np.array([range(slots - time, slots)] * batch)
    keys = np.array([range(slots)] * batch)
    if kind == "padded":
        keys = keys - np.arange(batch)[:, None] * 2
        queries, keys = np.maximum(queries - 2, 0), np.maximum(keys, -1)
    if kind in ("causal", "window", "padded"):
        window = max(2, slots // 3) if kind == "window" else None
        return oracle.visible(queries, keys, causal=True, window=window)
    shape = (batch, heads, time, slots) if kind == "by_head" else (1, 1, 1, slots)
    shown = uniform(f"{purpose}.mask", *shape, low=0, high=1) > 0.4  # noqa: PLR2004 - more than half
    shown[..., 1] = True
    return shown


def _bias(kind: str, batch: int, heads: int, time: int, slots: int, purpose: str) -> Host:
    shapes = {
        "by_head": (1, heads, time, slots),
        "by_row": (batch, 1, 1, slots),
        "shared": (1, 1, time, slots),
    }
    return normal(f"{purpose}.bias", *shapes[kind], scale=2)


def _trial(inputs: dict[str, Host], mask: Host, fixed: dict[str, Host], **options: Any) -> Trial:
    return Trial(
        inputs=inputs,
        fixed=fixed if mask is None else {**fixed, "mask": mask},
        native=lambda s, t: s.ops.attention(
            t["q"], t["k"], t["v"], t.get("mask"), bias=t.get("bias"), **options
        ),
        formula=lambda ar, t: oracle.attention(
            ar, t["q"], t["k"], t["v"], mask, bias=t.get("bias"), **options
        ),
    )


@designed("attention.options")
def options(row: Row, purpose: str) -> Trial:
    """Attention, options together."""
    kv, group = _heads(row)
    time = extent(purpose, row["queries"])
    sizes = (_BATCH, kv * group, time, time + _BEHIND)
    inputs = {
        "q": normal(f"{purpose}.q", *sizes[:3], _WIDTH, scale=2),
        "k": normal(f"{purpose}.k", _BATCH, kv, sizes[3], _WIDTH),
        "v": normal(f"{purpose}.v", _BATCH, kv, sizes[3], row["value"]),
    }
    if row["bias"] != "none":
        inputs["bias"] = _bias(row["bias"], *sizes, purpose)
    mask = None if row["mask"] == "none" else _mask(row["mask"], *sizes, purpose)
    return _trial(inputs, mask, {}, scale=0.41, softcap=row["softcap"])


@designed("attention.sizes", gradients=lambda row: row["queries"] * row["width"] <= MOST // 10)
def sizes(row: Row, purpose: str) -> Trial:
    """Attention, one row of the batch, gradients of the queries."""
    (kv, group), width = _heads(row), row["width"]
    slots = extent(purpose, max(row["slots"], 2))
    time = min(row["queries"], slots)
    keys = normal(f"{purpose}.k", 1, kv, slots, width)
    queries = normal(f"{purpose}.q", 1, kv * group, time, width)
    if row["scores"] != "mixed":
        # One direction of the keys grows along the slots, and the queries look there.
        rise = np.linspace(0, _RISE, slots)[:: 1 if row["scores"] == "rising" else -1]
        keys[..., 0], queries[..., 0] = rise, np.sqrt(width)
    mask = None
    if row["mask"] != "none":
        mask = _mask(row["mask"], 1, kv * group, time, slots, purpose)
    fixed = {"k": keys, "v": normal(f"{purpose}.v", 1, kv, slots, 3)}
    return _trial({"q": queries}, mask, fixed, scale=width**-0.5, softcap=None)


@designed("rotate")
def rotate(row: Row, purpose: str) -> Trial:
    """RoPE on views."""
    width, time = row["width"], extent(purpose, row["time"])
    half = width // (2 if row["part"] == "whole" or width == 2 else 4)  # noqa: PLR2004 - no smaller half
    batch = _BATCH if row["rows"] == "own" else 1
    angles = normal(f"{purpose}.angles", batch, 1, time, half, scale=2)
    return Trial(
        inputs={
            "x": normal(f"{purpose}.x", _BATCH, row["heads"], time, width),
            "cos": np.cos(angles),
            "sin": np.sin(angles),
        },
        native=lambda s, t: s.ops.rotate(t["x"], t["cos"], t["sin"]),
        formula=lambda ar, t: positions.rotate(ar, t["x"], t["cos"], t["sin"]),
    )
