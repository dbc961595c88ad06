"""NaN and infinity, which a backend must not hide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmkernel_conformance.cases.case import case

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject


@case(level="operations", id="honest.not_finite")
def not_finite(s: Subject) -> None:
    """NaN and infinity survive transfer and propagate through operations."""
    ops, x = s.ops, np.array([np.nan, np.inf, -np.inf, 1.5])
    native = s.array(x)
    s.equal("transfer", native, x, s.dtype)
    s.equal("reshape", ops.reshape(native, (2, 2)), x.reshape(2, 2), s.dtype)
    with np.errstate(invalid="ignore", over="ignore"):  # NumPy warns of what is asked for here
        s.equal("product", native * s.array(np.full(4, 2.0)), x * 2, s.dtype)
        s.equal("infinity minus infinity", native - native, [np.nan, np.nan, np.nan, 0], s.dtype)
        s.equal("exp", ops.exp(native[1:3]), [np.inf, 0.0], s.dtype)
        s.equal("sum", ops.sum(native, 0), np.nan, s.dtype)
        s.equal("overflow", ops.exp(s.array(np.full(2, 1e4))), [np.inf, np.inf], s.dtype)
