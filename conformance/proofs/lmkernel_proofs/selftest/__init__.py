"""The suite's own test: correct backends pass, and every mutant is killed where it should be.

Constraint: only a discrepancy kills; a mutant that crashes proves nothing.
"""

from __future__ import annotations

from lmkernel_proofs.selftest.matrix import kill_matrix, save
from lmkernel_proofs.selftest.report import Report
from lmkernel_proofs.selftest.session import self_test

__all__ = ["Report", "kill_matrix", "save", "self_test"]
