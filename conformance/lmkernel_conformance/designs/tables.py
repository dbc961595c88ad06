"""The designs: extents at which kernels change, real models' sizes, options, layouts."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from lmkernel_conformance.designs.design import Design, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DESIGNS", "LAYOUTS"]

LAYOUTS = ("plain", "permuted", "sliced", "reshaped", "concatenated", "broadcast", "updated")
"""How an argument lies in memory; `lmkernel_conformance.cases.layouts` makes them."""

_STRIDED = ("plain", "permuted", "sliced", "broadcast")
_FEW, _MANY = 65, 257


def _little(*extents: int) -> bool:
    """Whether arrays of these extents are so small that the oracle takes no time."""
    size = 1
    for extent in extents:
        size *= extent
    return size <= 140_000  # noqa: PLR2004 - some milliseconds


def _lies(layout: str, *extents: int) -> bool:
    """Whether a layout differs from a plain array: no other axis may have an extent of one."""
    return layout not in ("permuted", "broadcast") or min(extents) > 1


_ATTENTION_OPTIONS = Design(
    name="attention.options",
    factors={
        "mask": ("none", "causal", "window", "padded", "by_head", "one_row"),
        "softcap": (None, 1.7),
        "bias": ("none", "by_head", "by_row", "shared"),
        "heads": ("2x1", "3x2", "1x3", "2x4", "1x8"),
        "queries": (1, 3, 17),
        "value": (3, 5, 8),
        "layout": LAYOUTS,
    },
    triples=("mask", "softcap", "bias", "heads", "queries"),
)
_ATTENTION_SIZES = Design(
    name="attention.sizes",
    factors={
        "slots": (1, 31, 64, 65, 128, 129, 257, 513, 1025, 4097),
        "width": (16, 64, 80, 96, 128, 129, 256),
        "queries": (1, 2, 65, 129),
        "mask": ("none", "causal", "window"),
        "scores": ("rising", "falling", "mixed"),
        "heads": ("1x1", "1x4", "2x5"),
        "layout": ("plain", "permuted", "sliced", "updated"),
    },
    rules=(
        Rule(("layout", "slots"), _lies),
        Rule(("slots", "width"), _little),
        Rule(("slots", "queries"), lambda slots, queries: queries < _FEW or slots <= _MANY),
        Rule(("width", "queries"), lambda width, queries: queries < _FEW or width <= 80),  # noqa: PLR2004 - narrow
        Rule(("slots", "heads"), lambda slots, heads: heads[0] == "1" or slots <= _MANY),
    ),
)
_LINEAR = Design(
    name="linear",
    factors={
        "inner": (1, 7, 127, 128, 255, 256, 257, 576, 1025, 4096),
        "out": (1, 5, 16, 33, 64),
        "rows": (0, 1, 3, 17, 513, 1025),
        "bias": (False, True),
        "delta": (False, True),
        "packed": (False, True),
        "layout": LAYOUTS,
    },
    triples=("rows", "bias", "delta", "packed"),
    rules=(
        Rule(
            ("layout", "rows", "inner"), lambda layout, rows, inner: _lies(layout, rows or 2, inner)
        ),
        Rule(("rows", "inner"), _little),
        Rule(("inner", "out"), _little),
        Rule(("rows", "out"), lambda rows, out: rows * out <= 18_000),  # noqa: PLR2004 - few results
    ),
)
_CROSS_ENTROPY = Design(
    name="cross_entropy",
    factors={
        "classes": (2, 7, 255, 256, 257, 1023, 2048, 2049, 4097, 32_000, 50_257, 151_936, 262_144),
        "targets": ("real", "some_ignored", "all_ignored"),
        "smoothing": (0.0, 0.1),
        "rows": (1, 3, 65),
        "logits": ("rising", "falling", "mixed"),
        "layout": _STRIDED,
    },
    triples=("targets", "smoothing", "rows", "logits"),
    rules=(
        Rule(("layout", "rows"), _lies),
        Rule(("classes", "rows"), lambda classes, rows: rows == 1 or _little(classes, rows)),
    ),
)
_ALONG = Design(
    name="along",
    factors={
        "operation": (
            "softmax", "log_softmax", "layer_norm", "layer_norm.no_bias", "rms_norm",
            "sum", "mean", "max", "argmax",
        ),
        "extent": (1, 2, 8, 31, 33, 128, 129, 257, 513, 576, 1025, 2049, 4097, 8192),
        "axis": ("last", "first", "middle"),
        "rows": (1, 3, 17),
        "layout": LAYOUTS,
    },
    rules=(
        Rule(("layout", "rows", "extent"), _lies),
        Rule(
            ("operation", "axis"),
            lambda operation, axis: axis == "last" or "norm" not in operation,
        ),
        Rule(("extent", "rows"), lambda extent, rows: extent * rows <= 25_000),  # noqa: PLR2004 - small
    ),
)  # fmt: skip
_ELEMENTS = Design(
    name="elements",
    factors={
        "operation": (
            "exp", "log", "sqrt", "cos", "sin", "tanh", "sigmoid", "erf", "relu", "silu", "gelu",
            "gelu_tanh", "swiglu", "minimum", "maximum", "where", "add", "multiply", "divide",
        ),
        "extent": (1, 17, 129, 1025, 4097),
        "shape": ("line", "rows", "columns"),
        "layout": (*_STRIDED, "updated"),
    },
    rules=(Rule(("layout", "shape"), lambda layout, shape: layout != "permuted" or shape != "line"),
        Rule(("layout", "extent"), _lies)),
)  # fmt: skip
_TAKE = Design(
    name="take",
    factors={
        "table": (3, 17, 257, 4097, 32_769, 65_537, 131_073, 262_144),
        "index": ("one", "line", "square"),
        "again": (0, 17, 40, 300),
        "operation": ("take", "take_rows", "last_axis"),
        "layout": _STRIDED,
    },
)
_MATMUL = Design(
    name="matmul",
    factors={
        "inner": (1, 7, 64, 127, 129, 256, 257, 576, 1025, 4096),
        "rows": (1, 2, 17, 129),
        "columns": (1, 5, 33, 129),
        "leading": ("none", "both", "left", "right", "crossed"),
        "layout": _STRIDED,
    },
    rules=(
        Rule(("layout", "rows", "inner"), _lies),
        Rule(("inner", "rows"), _little),
        Rule(("inner", "columns"), _little),
        Rule(("rows", "columns"), lambda rows, columns: rows * columns <= 5_000),  # noqa: PLR2004 - few results
    ),
)
_CELLS = Design(
    name="cells",
    factors={
        "width": (1, 5, 31, 32, 33, 64, 128, 256),
        "cell": ("gru", "lstm"),
        "bias": (False, True),
        "batch": (1, 3, 17),
        "layout": _STRIDED,
    },
    rules=(Rule(("layout", "batch", "width"), _lies),),
)
_ROTATE = Design(
    name="rotate",
    factors={
        "width": (2, 8, 64, 80, 96, 128, 256),
        "part": ("whole", "half"),
        "time": (1, 5, 33),
        "heads": (1, 3, 9),
        "rows": ("own", "shared"),
        "layout": _STRIDED,
    },
)
_UPDATE = Design(
    name="cache_update",
    factors={
        "rows": (1, 2, 8, 9, 17, 65),
        "axis": (0, 1, 2, -1),
        "start": ("first", "middle", "last"),
        "layout": _STRIDED,
    },
)
_SHAPES = Design(
    name="shapes",
    factors={
        "operation": ("reshape", "permute", "cycle", "broadcast", "concat", "concat_four", "slice"),
        "extent": (1, 2, 17, 129, 1025),
        "layout": LAYOUTS,
    },
    rules=(Rule(("layout", "extent"), _lies),),
)

_STACK = Design(
    name="stack",
    factors={
        "norms": ("pre", "post", "both", "output", "parallel", "shared"),
        "norm": ("rms", "rms.offset", "layer"),
        "heads": ("4x1", "2x2", "1x4", "2x3"),
        "bias": ("none", "inner", "all"),
        "qk_norm": ("none", "head", "whole"),
        "window": (None, 2),
        "softcap": (None, 1.5),
        "network": ("gated.silu", "gated.gelu_tanh", "gelu", "relu"),
        "positions": ("none", "rotary", "interleaved", "alibi"),
        "causal": (True, False),
        "cross": (False, True),
        "residual": (1.0, 0.4),
        "final_norm": (True, False),
    },
    rules=(
        Rule(
            ("norms", "cross"),
            lambda norms, cross: norms not in ("parallel", "shared") or not cross,
        ),
    ),
)

DESIGNS: Mapping[str, Design] = MappingProxyType(
    {
        design.name: design
        for design in (
            _ATTENTION_OPTIONS,
            _ATTENTION_SIZES,
            _LINEAR,
            _CROSS_ENTROPY,
            _ALONG,
            _ELEMENTS,
            _TAKE,
            _MATMUL,
            _CELLS,
            _ROTATE,
            _UPDATE,
            _SHAPES,
            _STACK,
        )
    }
)
"""All designs by name."""
