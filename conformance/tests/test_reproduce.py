"""The command that runs one case again."""

from __future__ import annotations

import pytest

from lmkernel.errors import UnknownNameError
from lmkernel_conformance.catalogue import DEFECTS, likely
from lmkernel_conformance.reproduce import main
from lmkernel_proofs.mutants import ROWS


def test_it_prints_the_use_of_budgets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operations/softmax", "--backend", "numpy", "--dtype", "float64"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("operations/softmax[float64] on numpy: ")
    assert "of its budget" in out
    assert out.endswith("passed\n")


def test_an_unknown_case_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'operations/softmax'"):
        main(["operations/softmux", "--backend", "numpy"])


def test_every_row_of_the_catalogue_has_words() -> None:
    assert set(DEFECTS) == ROWS
    assert likely([3, 0]) == [DEFECTS[3]]
