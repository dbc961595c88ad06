"""Products of numbers that are rounded to 8 bits first, and budgets of such runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.errors import SubjectError
from lmkernel.verification.arithmetic import check_arithmetic, dtype_of, rounded_products
from lmkernel.verification.one_run import Variant
from lmkernel.verification.rounding import cut_digits

if TYPE_CHECKING:
    import ports


def test_a_block_is_rounded_by_its_largest_element() -> None:
    ops = load_backend("numpy").ops
    x, weight = np.random.default_rng(0).standard_normal((2, 3, 40)).astype(np.float32)
    packed = ops.pack_linear(ops.asarray(weight, "float32"))
    multiply: Any = rounded_products("int8x32")["linear"]
    got = ops.to_numpy(multiply(ops, ops.asarray(x, "float32"), packed))
    parts = []
    for block in (x[:, :32], x[:, 32:]):
        scale = np.abs(block).max(-1, keepdims=True) / 127
        parts.append(np.rint(block / scale) * scale.astype(np.float16))
    assert np.abs(got - np.concatenate(parts, 1) @ weight.T).max() < 1e-5
    assert np.abs(got - x @ weight.T).max() > 1e-3


def test_dtypes_round_nothing_and_other_names_are_refused() -> None:
    assert rounded_products("bfloat16") == {}
    assert [dtype_of(n) for n in ("float16", "tf32", "int8x32")] == [
        "float16",
        "float32",
        "float32",
    ]
    assert check_arithmetic("int8x256") == "int8x256"
    for name in ("int8", "int8x", "int8x0", "float8"):
        with pytest.raises(SubjectError, match="arithmetic: expected"):
            check_arithmetic(name)


def test_tf32_keeps_11_digits_of_what_is_multiplied(quick: Any, wrong: ports.Wrong) -> None:
    values = np.array([1 + 2.0**-10, 2 - 2.0**-12, -(2.0**100) * 3, 0.0], np.float32)
    assert cut_digits(values, 11).tolist() == [1 + 2.0**-10, 2 - 2.0**-10, -(2.0**100) * 3, 0]
    wrong.variant = Variant(operations=rounded_products("tf32"))
    assert not quick("qwen2", diagnosing=False).passed
    found = quick("qwen2", dtype="tf32")
    assert found.passed, found
    assert found.document["subject"]["dtype"] == "tf32"
