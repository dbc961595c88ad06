"""The suite's own test: correct backends pass, and every mutant dies at the level that it names.

Constraint: only a discrepancy kills a mutant. One that crashes proves nothing about the suite.
"""

from __future__ import annotations

from lmkernel_proofs.selftest.matrix import kill_matrix, save
from lmkernel_proofs.selftest.report import Report
from lmkernel_proofs.selftest.session import self_test

__all__ = ["Report", "kill_matrix", "save", "self_test"]
