"""The property of a KV cache: however it was filled, it gives what plain attention gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.exploration.attention import draw_heads
from lmkernel_conformance.exploration.draw import host
from lmkernel_conformance.exploration.property import Property
from lmkernel_conformance.oracle import attention as oracle

if TYPE_CHECKING:
    from lmkernel_conformance.exploration.draw import Draw, Example
    from lmkernel_conformance.subject import Subject

__all__ = ["PROPERTIES"]

Host = Any


def _draw_cache(d: Draw) -> Example:
    h, dim = draw_heads(d), d.integer(1, 5)
    pieces = [d.integer(1, 3) for _ in range(d.integer(1, 4))]
    used, room = sum(pieces), d.integer(0, 3)
    return {
        "q": d.calm([h["batch"], h["heads"], d.integer(1, used), dim]),
        "k": d.calm([h["batch"], h["kv"], used, dim]),
        "v": d.calm([h["batch"], h["kv"], used, dim]),
        "pieces": pieces,
        "padding": [d.integer(0, pieces[0] - 1) for _ in range(h["batch"])],
        "room": room,
        "extent": used + d.integer(0, room),
        "grown": d.flag(),
        "softcap": d.pick((None, 1.7)),
    }


def _check_cache(s: Subject, drawn: Example) -> None:
    """A KV cache written in pieces, grown between them and read in part gives plain attention."""
    q, k, v = s.round([host(name, drawn[name]) for name in "qkv"])
    cache, used, extent = _fill_cache(s, drawn, k, v), k.shape[2], drawn["extent"]
    slots = np.array([np.arange(used) - p for p in drawn["padding"]])
    keys = np.pad(np.maximum(slots, -1), ((0, 0), (0, extent - used)), constant_values=-1)
    mask = oracle.visible(slots[:, -q.shape[2] :], keys, causal=True)
    options: dict[str, Any] = {"scale": 0.41, "softcap": drawn["softcap"]}
    got = s.ops.cache_attend(cache, s.array(q), s.array(mask), extent=extent, **options)

    def formula(ar: Any) -> Host:
        queries, keys, values = map(ar.constant, (q, k, v))
        return oracle.attention(ar, queries, keys, values, mask[..., :used], **options)

    s.agree("output", got, formula)


def _fill_cache(s: Subject, drawn: Example, k: Host, v: Host) -> Any:
    """A KV cache with all slots written; one that grows has room for the first piece at first."""
    ops: Any = s.ops
    batch, kv, used, dim = k.shape
    whole = used + drawn["room"]
    first = drawn["pieces"][0] if drawn["grown"] else whole
    cache, start = ops.cache_create(batch, kv, dim, first, s.dtype), 0
    for count in drawn["pieces"]:
        if start + count > first:
            cache, first = ops.cache_grow(cache, whole), whole
        keys, values = (s.array(x[:, :, start : start + count]) for x in (k, v))
        cache = ops.cache_append(cache, keys, values, ops.asarray(start, "int32"))
        start += count
    return ops.cache_grow(cache, whole) if first < whole else cache


PROPERTIES = (Property(name="cache", draw=_draw_cache, check=_check_cache),)
