"""Every kind of layer in parts of two processes gives what it gives in one.

Constraint: PyTorch alone, where what is divided is said operation by operation; JAX's compiler
divides the computation of one process.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import kinds_of_layers
import numpy as np
import pytest
from kinds_of_layers import KINDS, figures

from lmkernel.backend import load_backend
from lmkernel.distribution.launch import launch


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two processes found for each."""
    out = tmp_path_factory.mktemp("layers") / "found.json"
    assert launch([sys.executable, kinds_of_layers.__file__, "torch", "model=2", str(out)], 2) == 0
    found: dict[str, Any] = json.loads(out.read_text("utf-8"))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_in_parts_is_as_one(kind: str, divided: dict[str, Any]) -> None:
    whole = figures(load_backend("torch"), KINDS[kind])
    # sums of some hundred numbers in another order, in float64, through three steps
    np.testing.assert_allclose(divided[kind], whole, rtol=1e-9)
