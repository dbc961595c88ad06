"""Tables of the mutators: operators, comparisons and names, and what replaces each."""

from __future__ import annotations

import ast
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ARITHMETIC", "COMPARE", "NAMES", "OPTIONAL", "UNORDERED"]

ARITHMETIC: Mapping[type, type] = MappingProxyType(
    {
        ast.Add: ast.Sub,
        ast.Sub: ast.Add,
        ast.Mult: ast.Div,
        ast.Div: ast.Mult,
        ast.FloorDiv: ast.Mult,
        ast.Mod: ast.FloorDiv,
        ast.Pow: ast.Mult,
        ast.LShift: ast.RShift,
    }
)
COMPARE: Mapping[type, tuple[type, ...]] = MappingProxyType(
    {
        ast.Lt: (ast.LtE, ast.Gt),
        ast.LtE: (ast.Lt, ast.GtE),
        ast.Gt: (ast.GtE, ast.Lt),
        ast.GtE: (ast.Gt, ast.LtE),
        ast.Eq: (ast.NotEq,),
        ast.NotEq: (ast.Eq,),
        ast.Is: (ast.IsNot,),
        ast.IsNot: (ast.Is,),
        ast.In: (ast.NotIn,),
        ast.NotIn: (ast.In,),
    }
)
_PAIRS = (
    ("min", "max"),
    ("minimum", "maximum"),
    ("sin", "cos"),
    ("add", "subtract"),
    ("multiply", "divide"),
    ("any", "all"),
    ("sum", "mean"),
    ("sigmoid", "tanh"),
    ("zeros", "ones"),
    ("zeros_like", "ones_like"),
    ("softmax", "log_softmax"),
    ("rms_norm", "layer_norm"),
    ("argmax", "argmin"),
    ("exp", "expm1"),
)
NAMES = MappingProxyType({**dict(_PAIRS), **{b: a for a, b in _PAIRS}})
OPTIONAL = frozenset(
    {"keepdims", "reverse", "window", "softcap", "bias", "key", "memory", "cache", "across", "aux"}
    | {"segments", "state", "initial", "axis"}
)
"""Keyword arguments that have defaults, so that a call without one still works."""
UNORDERED = frozenset(
    {"min", "max", "minimum", "maximum", "add", "multiply", "isinstance", "getattr", "constant"}
    | {"einsum", "result_type", "full", "asarray", "astype", "reshape", "permute_dims", "cast"}
    | {"broadcast_to", "declare_linear", "declare_norm", "range", "arange", "empty", "zeros"}
    | {"require", "replace", "zip"}
)
"""Calls whose last two arguments commute, or are of kinds that cannot stand for each other."""
