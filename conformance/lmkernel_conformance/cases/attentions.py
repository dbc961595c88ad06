"""Attention: grouped heads, masks of every kind, soft cap, bias, RoPE.

Batch, heads, key heads, queries, slots, head size and value size are all different numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal, uniform
from lmkernel_conformance.oracle import attention as oracle
from lmkernel_conformance.oracle import positions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.subject import Subject

Host = Any

_BATCH, _HEADS, _KV, _TIME, _SLOTS, _WIDTH, _VALUE = 2, 6, 3, 4, 7, 5, 8
_SCALE = 0.37
_LONG = 70
"""A multiple of no kernel's block size."""


def _parts(
    time: int = _TIME, slots: int = _SLOTS, kv: int = _KV, loud: float = 1.0
) -> dict[str, Host]:
    return {
        "q": normal(f"attention.q{time}", _BATCH, _HEADS, time, _WIDTH, scale=loud),
        "k": normal(f"attention.k{slots}", _BATCH, kv, slots, _WIDTH),
        "v": normal(f"attention.v{slots}", _BATCH, kv, slots, _VALUE),
    }


def _trial(
    inputs: Mapping[str, Host], mask: Host = None, *, scale: float = _SCALE, softcap: Any = None
) -> Trial:
    fixed = {} if mask is None else {"mask": mask}
    options = {"scale": scale, "softcap": softcap}
    return Trial(
        inputs=inputs,
        fixed=fixed,
        native=lambda s, t: s.ops.attention(
            t["q"], t["k"], t["v"], t.get("mask"), bias=t.get("bias"), **options
        ),
        formula=lambda ar, t: oracle.attention(
            ar, t["q"], t["k"], t["v"], mask, bias=t.get("bias"), **options
        ),
    )


def asymmetric() -> Host:
    """A mask in which no two queries see the same slots, and one slot is seen by none."""
    shown = uniform("attention.mask", _BATCH, 1, _TIME, _SLOTS, low=0, high=1) > 0.55  # noqa: PLR2004 - about half
    shown[:, :, :, 2] = False
    shown[:, :, np.arange(_TIME), np.arange(_TIME) + 3] = True
    return shown


@trial(id="attention", op="attention", rows=(7,))
def attention() -> Trial:
    """Six query heads on three key heads; a scale that does not follow from any size."""
    return _trial(_parts())


@trial(id="attention.as_many_key_heads", op="attention")
def attention_full() -> Trial:
    """As many key heads as query heads."""
    return _trial(_parts(kv=_HEADS))


@trial(id="attention.one_key_head", op="attention")
def attention_one() -> Trial:
    """One key head for all."""
    return _trial(_parts(kv=1))


@trial(id="attention.masked", op="attention", rows=(2,))
def attention_with_mask() -> Trial:
    """True means visible; the mask has no symmetry."""
    return _trial(_parts(), asymmetric())


@trial(id="attention.mask_by_head", op="attention", rows=(2,))
def attention_by_head() -> Trial:
    """A mask of its own for each head."""
    shown = uniform("attention.heads", _BATCH, _HEADS, _TIME, _SLOTS, low=0, high=1) > 0.4  # noqa: PLR2004 - more than half
    shown[..., 1] = True
    return _trial(_parts(), shown)


@trial(id="attention.causal", op="attention", rows=(1, 3))
def attention_causal() -> Trial:
    """Two queries, six keys: the last query sees the last key (aligned at the bottom right)."""
    mask = oracle.visible(np.array([[4, 5]] * 2), np.array([range(6)] * 2), causal=True)
    return _trial(_parts(2, 6), mask)


@trial(id="attention.square_causal", op="attention", rows=(1,))
def attention_square() -> Trial:
    """As many queries as keys."""
    where = np.array([range(5)] * 2)
    return _trial(_parts(5, 5), oracle.visible(where, where, causal=True))


@trial(id="attention.long_causal", op="attention", rows=(1,))
def attention_long() -> Trial:
    """Enough queries for a backend to take a path that skips blocks which no query sees."""
    where = np.array([range(_LONG)] * 2)
    return _trial(_parts(_LONG, _LONG), oracle.visible(where, where, causal=True))


@trial(id="attention.causal_and_padded", op="attention", rows=(1, 4, 6))
def attention_causal_and_padding() -> Trial:
    """Causal and padded at once: a padded query sees nothing."""
    where = np.array([[0, 1, 2, 3, 4], [-1, -1, 0, 1, 2]])
    return _trial(_parts(5, 5), oracle.visible(where, where, causal=True))


@trial(id="attention.hidden_row", op="attention", rows=(4,))
def attention_hidden_row() -> Trial:
    """A query that sees nothing gives zeros, and finite gradients."""
    mask = asymmetric()
    mask[0, :, 1] = False
    mask[1, :, 3] = False
    return _trial(_parts(), mask)


@trial(id="attention.hidden_batch", op="attention", rows=(4,))
def attention_hidden_batch() -> Trial:
    """A whole row of the batch that sees nothing."""
    mask = asymmetric()
    mask[1] = False
    return _trial(_parts(), mask)


@trial(id="attention.large_scores", op="attention", rows=(18,))
def attention_large() -> Trial:
    """Products near 1000: the maximum is subtracted on this path too."""
    return _trial(_parts(loud=300.0), asymmetric())


@trial(id="attention.large_scores_unmasked", op="attention", rows=(18,))
def attention_large_without_mask() -> Trial:
    """The same without a mask."""
    return _trial(_parts(loud=300.0))


@trial(id="attention.scores_below_the_mask", op="attention", rows=(6,))
def attention_deep() -> Trial:
    """Visible products so low that a mask of -1e4 would let hidden ones win."""
    parts = _parts(loud=1.0)
    parts["q"][...] = parts["q"] * 40 - 3e3
    parts["k"][...] = np.abs(parts["k"]) + 3
    return _trial(parts, asymmetric(), scale=1.0)


@trial(id="attention.softcap", op="attention")
def attention_softcap() -> Trial:
    """A soft cap of 1.7 on the scores, before the mask."""
    return _trial(_parts(loud=4.0), asymmetric(), softcap=1.7)


@trial(id="attention.bias", op="attention")
def attention_bias() -> Trial:
    """A bias for each head, with a gradient; after the scale, not before."""
    bias = normal("attention.bias", 1, _HEADS, _TIME, _SLOTS, scale=2)
    return _trial({**_parts(), "bias": bias}, asymmetric())


@trial(id="attention.bias_unmasked", op="attention")
def attention_bias_without_mask() -> Trial:
    """A bias shared by all heads and rows, and no mask."""
    return _trial({**_parts(), "bias": normal("attention.bias1", 1, 1, _TIME, _SLOTS)})


@trial(id="attention.softcap_and_bias", op="attention")
def attention_softcap_bias() -> Trial:
    """The bias is added after the soft cap."""
    bias = normal("attention.bias2", _BATCH, 1, _TIME, _SLOTS, scale=2)
    return _trial({**_parts(loud=3.0), "bias": bias}, asymmetric(), softcap=2.3)


@trial(id="attention.one_query", op="attention")
def attention_one_query() -> Trial:
    """One query, as in decoding."""
    mask = np.array([True, True, False, True, True, True, False])[None, None, None]
    return _trial(_parts(1), np.broadcast_to(mask, (_BATCH, 1, 1, _SLOTS)).copy())


@case(level="operations", id="attention.poisoned", rows=(5,))
def poison_in_hidden_slots(s: Subject) -> None:
    """NaN in slots that no query sees does not leak; nor does infinity."""
    parts, mask = _parts(), asymmetric()
    parts["k"][:, :, 2], parts["v"][:, :, 2] = np.nan, np.inf
    mask[1, :, :, 5] = False
    parts["v"][1, :, 5] = np.nan
    a, hosts = s.arrays(parts), s.round(parts)
    got = s.ops.attention(a["q"], a["k"], a["v"], s.array(mask), scale=_SCALE)

    def formula(ar: Any) -> Host:
        q, k, v = (ar.constant(hosts[name]) for name in "qkv")
        return oracle.attention(ar, q, k, v, mask, scale=_SCALE)

    s.agree("output", got, formula)


@case(level="gradients", id="attention.poisoned.gradient", rows=(5,), training=True)
def poison_and_the_gradient(s: Subject) -> None:
    """Nor does NaN leak into the gradient of the queries."""
    parts, mask = _parts(), asymmetric()
    parts["k"][:, :, 2], parts["v"][:, :, 2] = np.nan, np.nan
    arrays, shown = s.arrays(parts), s.array(mask)
    ops = s.ops

    def total(q: Any) -> Any:
        mixed = ops.attention(q, arrays["k"], arrays["v"], shown, scale=_SCALE)
        return ops.sum(ops.reshape(mixed * mixed, (-1,)), 0)

    gradient = s.host(ops.value_and_grad(total)(arrays["q"])[1])
    s.demand("finite elements", expected=gradient.size, got=int(np.isfinite(gradient).sum()))


@trial(id="rotate", op="rotate", rows=(9,))
def rotate() -> Trial:
    """RoPE pairs the halves of a head, not neighbours, and leaves the elements behind them."""
    angles = normal("rotate.angles", _BATCH, 1, _TIME, 3, scale=2)
    return Trial(
        inputs={
            "x": normal("rotate", _BATCH, _HEADS, _TIME, 8),
            "cos": np.cos(angles),
            "sin": np.sin(angles),
        },
        native=lambda s, t: s.ops.rotate(t["x"], t["cos"], t["sin"]),
        formula=lambda ar, t: positions.rotate(ar, t["x"], t["cos"], t["sin"]),
    )


@trial(id="rotate.whole", op="rotate", rows=(9,))
def rotate_whole() -> Trial:
    """RoPE over the whole head; one position, as in decoding."""
    angles = normal("rotate.whole.angles", _BATCH, 1, 1, 4, scale=2)
    return Trial(
        inputs={
            "x": normal("rotate.whole", _BATCH, _HEADS, 1, 8),
            "cos": np.cos(angles),
            "sin": np.sin(angles),
        },
        native=lambda s, t: s.ops.rotate(t["x"], t["cos"], t["sin"]),
        formula=lambda ar, t: positions.rotate(ar, t["x"], t["cos"], t["sin"]),
    )
