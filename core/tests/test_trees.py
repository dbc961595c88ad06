"""Trees: a scan that is a loop, forwards and backwards, over trees of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmkernel.contract.trees import loop_scan


@pytest.mark.parametrize(("reverse", "sums"), [(False, [1, 3, 6, 10]), (True, [10, 9, 7, 4])])
def test_a_loop_keeps_the_places_of_its_steps(reverse: bool, sums: list[int]) -> None:
    xs = {"a": np.array([1, 2, 3, 4]), "b": (np.array([5, 6, 7, 8]),)}

    def f(carry: Any, x: Any) -> tuple[Any, Any]:
        return carry + x["a"], {"sum": carry + x["a"], "b": x["b"][0]}

    last, ys = loop_scan(np.stack, f, np.array(0), xs, reverse=reverse)
    assert last == 10
    assert ys["sum"].tolist() == sums
    assert ys["b"].tolist() == [5, 6, 7, 8]
