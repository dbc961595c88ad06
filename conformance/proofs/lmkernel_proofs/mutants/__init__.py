"""Handwritten mutants: backends with one defect each, which the suite must find at its level."""

from __future__ import annotations

from lmkernel_conformance.catalogue import DEFECTS
from lmkernel_proofs.mutants import (
    attention,
    basics,
    beams,
    beyond,
    callers,
    components,
    delta,
    edges,
    encoders,
    families,
    farther,
    farther_calls,
    farther_components,
    farther_extents,
    heads,
    launches,
    meetings,
    memory,
    more_families,
    norms,
    operations,
    optimizers,
    options,
    pictures,
    places,
    quantisation,
    sequences,
    sizes,
    slopes,
    sounds,
    together,
    trainers,
    values,
)
from lmkernel_proofs.mutants.mutant import Mutant
from lmkernel_proofs.mutants.reach import with_reach

__all__ = ["MUTANTS", "ROWS", "Mutant"]

MUTANTS: tuple[Mutant, ...] = with_reach(
    (
        *basics.MUTANTS,
        *values.MUTANTS,
        *operations.MUTANTS,
        *quantisation.MUTANTS,
        *attention.MUTANTS,
        *components.MUTANTS,
        *families.MUTANTS,
        *more_families.MUTANTS,
        *encoders.MUTANTS,
        *delta.MUTANTS,
        *norms.MUTANTS,
        *heads.MUTANTS,
        *optimizers.MUTANTS,
        *trainers.MUTANTS,
        *edges.MUTANTS,
        *sequences.MUTANTS,
        *sizes.MUTANTS,
        *options.MUTANTS,
        *memory.MUTANTS,
        *together.MUTANTS,
        *beyond.MUTANTS,
        *farther.MUTANTS,
        *farther_calls.MUTANTS,
        *farther_components.MUTANTS,
        *farther_extents.MUTANTS,
        *launches.MUTANTS,
        *callers.MUTANTS,
        *slopes.MUTANTS,
        *places.MUTANTS,
        *meetings.MUTANTS,
        *pictures.MUTANTS,
        *sounds.MUTANTS,
        *beams.MUTANTS,
    )
)
"""All handwritten mutants."""

ROWS = frozenset(DEFECTS)
"""The rows of the catalogue of defects; every one has a mutant."""
