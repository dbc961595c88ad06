"""Mutants: broken backends that the suite must find wanting, each at the level named."""

from __future__ import annotations

from lmkernel_proofs.mutants import (
    attention,
    basics,
    components,
    heads,
    norms,
    operations,
    optimizers,
    trainers,
)
from lmkernel_proofs.mutants.mutant import Mutant
from lmkernel_proofs.mutants.reach import bounded

__all__ = ["MUTANTS", "ROWS", "Mutant"]

MUTANTS: tuple[Mutant, ...] = bounded(
    (
        *basics.MUTANTS,
        *operations.MUTANTS,
        *attention.MUTANTS,
        *components.MUTANTS,
        *norms.MUTANTS,
        *heads.MUTANTS,
        *optimizers.MUTANTS,
        *trainers.MUTANTS,
    )
)
"""All of them."""

ROWS = frozenset(range(1, 31))
"""The rows of the catalogue: all of them are covered."""
