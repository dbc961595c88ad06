"""The oracle against torch's own modules and functions at the witnesses' points, in float64."""

from __future__ import annotations

import pytest

from lmkernel_proofs.vectors import numbers, read_vectors, widest
from lmkernel_proofs.witnesses.agreement import (
    directions,
    oracle_slopes,
    oracle_values,
    probes,
)
from lmkernel_proofs.witnesses.libraries import TORCH, library_slopes, library_values
from lmkernel_proofs.witnesses.table import POINTS

EXACT = read_vectors("mpmath.json")["points"]
STORED = read_vectors("torch.json")["points"]
BOTH_ROUND = 2.0
SLOPES = [n for n, library in TORCH.items() if library.gradient and POINTS[n].gradient]


@pytest.mark.parametrize("name", TORCH)
def test_values(name: str) -> None:
    got, allowed = library_values(POINTS[name]), EXACT[name]["allowed"][0]
    assert widest(oracle_values(POINTS[name]), got, allowed) <= BOTH_ROUND
    assert widest(got, numbers(STORED[name]["values"]), allowed) <= BOTH_ROUND


@pytest.mark.parametrize("name", SLOPES)
def test_slopes(name: str) -> None:
    got, allowed = library_slopes(POINTS[name], probes, directions), EXACT[name]["allowed"][1]
    assert widest(oracle_slopes(POINTS[name]), got, allowed) <= BOTH_ROUND
    assert widest(got, numbers(STORED[name]["slopes"]), allowed) <= BOTH_ROUND
