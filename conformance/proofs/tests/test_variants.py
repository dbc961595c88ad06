"""Honest variants pass, by whichever correct formula they compute; a lossy one does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lmkernel.backend import load_backend
from lmkernel_conformance.cases import CASES, Item
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.runner import attempt
from lmkernel_conformance.subject import Subject
from lmkernel_proofs.mutants.mutant import optional
from lmkernel_proofs.selftest.acceptance import refusals
from lmkernel_proofs.variants import VARIANTS, log_softmax_beside_logits

LEVELS = ("document", "operations", "gradients")
"""The levels that see a single formula; `lmkernel certify --self-test` runs all of every level."""


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject(backend=load_backend("numpy"))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.id)
def test_an_honest_variant_passes(subject: Subject, variant: object) -> None:
    few = len(VARIANTS)
    assert refusals(subject, variant, LEVELS, every=3, rows=3 * few) == []  # type: ignore[arg-type]  # a variant


def test_a_variant_computes_other_numbers(subject: Subject) -> None:
    """The variants are no copies: most change bits of attention."""
    item = Item(CASES["gradients/attention.gradient"], "float32")
    shares = set()
    for variant in VARIANTS:
        own = replace(subject, backend=variant.make(subject.backend), records=[])
        shares.add(tuple(r.measurement.share for r in attempt(own, item).records))
    assert len(shares) >= len(VARIANTS) // 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_logarithm_added_to_large_logits_is_refused(subject: Subject, dtype: str) -> None:
    """x - (max + log Σ) rounds at the size of the logits, not of the result."""
    backend = optional("log_softmax", log_softmax_beside_logits)(subject.backend)
    own = replace(subject, backend=backend)
    usual = attempt(own, Item(CASES["operations/log_softmax"], dtype)).error
    large = attempt(own, Item(CASES["operations/log_softmax.large_logits"], dtype)).error
    assert usual is None
    assert isinstance(large, Discrepancy)
