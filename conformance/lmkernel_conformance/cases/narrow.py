"""16-bit dtypes: sums in float32, masks that do not overflow, scales that are not rounded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import EmbeddingConfig
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.inputs import normal, uniform
from lmkernel_conformance.oracle import activation, attention, loss, norm

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any

_DTYPES = ("bfloat16", "float16")


@trial(id="narrow.softmax", op="", dtypes=_DTYPES, gradients=False)
def softmax() -> Trial:
    """Many small probabilities, whose sum in 16 bits would stall."""
    return Trial(
        inputs={"x": normal("narrow.softmax", 3, 700)},
        native=lambda s, t: s.ops.softmax(t["x"]),
        formula=lambda ar, t: activation.softmax(ar, t["x"]),
    )


@trial(id="narrow.layer_norm", dtypes=_DTYPES, gradients=False)
def layer_norm() -> Trial:
    """A mean that is large next to the spread."""
    return Trial(
        inputs={
            "x": normal("narrow.layer", 3, 300, shift=9),
            "weight": uniform("narrow.layer.w", 300, low=-2, high=3),
            "bias": normal("narrow.layer.b", 300),
        },
        native=lambda s, t: s.ops.layer_norm(t["x"], t["weight"], t["bias"], 1e-5),
        formula=lambda ar, t: norm.layer_norm(ar, t["x"], t["weight"], t["bias"], 1e-5),
    )


@trial(id="narrow.rms_norm", dtypes=_DTYPES, gradients=False)
def rms_norm() -> Trial:
    """A sum of 600 squares."""
    return Trial(
        inputs={
            "x": normal("narrow.rms", 3, 600, shift=1),
            "weight": uniform("narrow.rms.w", 600, low=-2, high=3),
        },
        native=lambda s, t: s.ops.rms_norm(t["x"], t["weight"], 1e-5),
        formula=lambda ar, t: norm.rms_norm(ar, t["x"], t["weight"], 1e-5),
    )


@trial(id="narrow.linear", dtypes=_DTYPES, gradients=False)
def linear() -> Trial:
    """A product over 500 elements."""
    return Trial(
        inputs={"x": normal("narrow.linear", 3, 500), "w": normal("narrow.linear.w", 7, 500)},
        native=lambda s, t: s.ops.linear(t["x"], t["w"]),
        formula=lambda ar, t: norm.linear(ar, t["x"], t["w"]),
    )


@trial(id="narrow.cross_entropy", dtypes=_DTYPES, gradients=False)
def cross_entropy() -> Trial:
    """Over 900 classes."""
    targets = np.array([899, -1, 17])
    return Trial(
        inputs={"logits": normal("narrow.ce", 3, 900, scale=2)},
        fixed={"targets": targets},
        native=lambda s, t: s.ops.cross_entropy(t["logits"], t["targets"]),
        formula=lambda ar, t: loss.cross_entropy(ar, t["logits"], targets),
    )


@trial(id="narrow.attention", dtypes=_DTYPES, rows=(6,), gradients=False)
def mask_minima() -> Trial:
    """A causal and a padding mask together: two large negative numbers must not add up to -inf."""
    where = np.array([[0, 1, 2, 3, 4], [-1, -1, 0, 1, 2]])
    mask = attention.visible(where, where, causal=True)
    return Trial(
        inputs={
            "q": normal("narrow.q", 2, 4, 5, 8),
            "k": normal("narrow.k", 2, 2, 5, 8),
            "v": normal("narrow.v", 2, 2, 5, 6),
        },
        fixed={"mask": mask},
        native=lambda s, t: s.ops.attention(t["q"], t["k"], t["v"], t["mask"], scale=0.35),
        formula=lambda ar, t: attention.attention(ar, t["q"], t["k"], t["v"], mask, scale=0.35),
    )


@case(level="operations", id="narrow.round_trip", dtypes=_DTYPES)
def round_trip(s: Subject) -> None:
    """To the device and back, rounded to nearest even; back on the host as float32."""
    x = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-9, 1 / 3, -2.71828, 1e-5, 300.7, 0.0])
    native = s.ops.asarray(np.asarray(x, np.float32), s.dtype)  # type: ignore[arg-type]  # declared by the backend
    s.equal("values", native, s.precision.round(x), s.dtype)
    s.demand("dtype on the host", expected="float32", got=str(s.host(native).dtype))


@case(level="components", id="narrow.embedding_scale", dtypes=_DTYPES, rows=(26,))
def embedding_scale(s: Subject) -> None:
    """√48 times a row, rounded once: bit for bit."""
    config = EmbeddingConfig(width=48, vocab=7, scale=math.sqrt(48))
    table = s.round(normal("narrow.table", 7, 48))
    component: Any = s.factory.create("embedding", config)
    index = np.array([[6, 0, 3]])
    params = {"tokens": {"weight": s.array(table)}}
    got = component(params, s.array(index), s.array(np.array([[0, 1, 2]]))).hidden
    want = s.precision.round(table[index].astype(np.float32) * np.float32(math.sqrt(48)))
    s.equal("rows", got, want, s.dtype)
