"""Functions that are wrong by little, or for some of their arguments only.

One budget for a whole array let them pass: next to its largest element the others may be anything.
"""

from __future__ import annotations

from typing import Any

from lmkernel.composed.precision import constant
from lmkernel_proofs.mutants.basics import through_float32
from lmkernel_proofs.mutants.mutant import Mutant, mandatory

__all__ = ["MUTANTS"]


def exp_doubled(ops: Any, x: Any) -> Any:
    """Exp is doubled for 0.1 < x < 75."""
    y = ops.exp(x)
    return ops.where((x > constant(ops, 0.1, x)) & (x < constant(ops, 75.0, x)), y + y, y)


def exp_by_a_thousandth(ops: Any, x: Any) -> Any:
    """Exp is a thousandth too large below 80."""
    y = ops.exp(x)
    return ops.where(x < constant(ops, 80.0, x), y * constant(ops, 1.001, x), y)


def exp_floored(ops: Any, x: Any) -> Any:
    """Exp is never below 10⁻²⁰."""
    return ops.maximum(ops.exp(x), constant(ops, 1e-20, x))


def exp_flat(ops: Any, x: Any) -> Any:
    """Exp has no gradient below 60."""
    y = ops.exp(x)
    return ops.where(x < constant(ops, 60.0, x), ops.stop_gradient(y), y)


def log_shifted(ops: Any, x: Any) -> Any:
    """Log is off by 10⁻⁵."""
    return ops.log(x) + constant(ops, 1e-5, x)


def log_flat(ops: Any, x: Any) -> Any:
    """Log has no gradient above 0.1, where it is small."""
    y = ops.log(x)
    return ops.where(x > constant(ops, 0.1, x), ops.stop_gradient(y), y)


def sqrt_in_float32(ops: Any, x: Any) -> Any:
    """The root of float64 is taken in float32."""
    return through_float32(ops, ops.sqrt(x))


def sqrt_flat(ops: Any, x: Any) -> Any:
    """Sqrt has no gradient above 0.01, where it is small."""
    y = ops.sqrt(x)
    return ops.where(x > constant(ops, 0.01, x), ops.stop_gradient(y), y)


_EXAMPLES = "the tutorial's examples are whole formulas, which see it too; its own cases name it"


def _of(op: str, name: str, broken: Any, level: str = "operations", higher: str = "") -> Mutant:
    return Mutant(id=f"{op}.{name}", level=level, make=mandatory(op, broken), higher=higher)


MUTANTS = (
    _of("exp", "doubled", exp_doubled),
    _of("exp", "by_a_thousandth", exp_by_a_thousandth, higher=_EXAMPLES),
    _of("exp", "floored", exp_floored),
    _of("exp", "flat", exp_flat, "gradients"),
    _of("log", "shifted", log_shifted, higher=_EXAMPLES),
    _of("log", "flat", log_flat, "gradients"),
    _of("sqrt", "in_float32", sqrt_in_float32),
    _of("sqrt", "flat", sqrt_flat, "gradients"),
)
