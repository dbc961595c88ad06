"""Each thing that ports of families get wrong is a mutant or a broken port, with a sentence."""

from __future__ import annotations

import pytest
from broken_encoders import PORTS as OF_ENCODERS
from broken_families import PORTS as OF_FAMILIES
from broken_transformers import PORTS as OF_FIRST
from family_rows import ROWS, Row

from lmkernel_conformance.catalogue import likely
from lmkernel_proofs.mutants import MUTANTS

PORTS = {port.id: port for port in (*OF_FIRST, *OF_FAMILIES, *OF_ENCODERS)}
WRITTEN = {mutant.id: mutant for mutant in MUTANTS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.defect)
def test_a_row_has_mutants_that_are_there(row: Row) -> None:
    assert row.mutants
    assert [name for name in row.mutants if name not in WRITTEN] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.defect)
def test_a_row_is_named_with_a_sentence(row: Row) -> None:
    assert bool(row.ports) != row.outside
    unnamed = [name for name in row.ports if not PORTS[name].looks]
    if row.outside:
        unnamed = [name for name in row.mutants if not likely([WRITTEN[name].row])]
    assert unnamed == []


def test_ports_of_all_files_have_names_of_their_own() -> None:
    assert len(PORTS) == len(OF_FIRST) + len(OF_FAMILIES) + len(OF_ENCODERS)
