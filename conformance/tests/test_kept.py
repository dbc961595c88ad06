"""The kept honest errors: that they are the suite's, and that they count for nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel_conformance.budget import Budget
from lmkernel_conformance.cases import CASES, Item
from lmkernel_conformance.kept import KeptErrors, encode, kept_errors
from lmkernel_conformance.precision import PRECISIONS
from lmkernel_conformance.runner import attempt
from lmkernel_conformance.subject import Subject

NONE = KeptErrors({}, np.zeros(0, np.uint16))
KEY = ("level/case", "float32", "value")
WANT = np.array([[1.0, -2.0, 3e-30], [0.0, np.inf, 7.0]])
HONEST = np.array([[1e-7, 3.3e-9, 1e-31], [0.0, 0.0, 2e-7]])
SAMPLE = [
    f"{level}/{name}"
    for level, name in (
        ("operations", "exp"),
        ("operations", "softmax.one_of_many"),
        ("gradients", "layer_norm.large_mean.gradient"),
        ("gradients", "attention.large_scores.gradient"),
        ("components", "kind.encoder.recurrent"),
        ("models", "t5.forward"),
        ("training", "optimizer.adafactor"),
        ("training", "schedule.cosine"),
    )
]


def _kept() -> KeptErrors:
    return KeptErrors(*encode({KEY: [Budget(WANT, HONEST, PRECISIONS["float32"])]}))


def test_errors_are_rounded_up_by_an_eighth_at_most() -> None:
    found = _kept().find(KEY, [WANT])
    assert found is not None
    assert (found[0] >= HONEST).all()
    assert (found[0] <= HONEST * 1.125).all()


@pytest.mark.parametrize(
    "other",
    [
        [WANT * (1 + 1e-6)],
        [WANT[::-1]],
        [WANT, WANT],
        [WANT[:1]],
        [np.array([[1.0, -2.0, 3e-30], [0.0, np.inf, 7.00001]])],
    ],
)
def test_other_references_have_no_kept_errors(other: list[np.ndarray]) -> None:
    assert _kept().find(KEY, other) is None
    assert _kept().find(("level/other", *KEY[1:]), [WANT]) is None


def test_a_reference_that_another_machine_rounds_is_the_same() -> None:
    assert _kept().find(KEY, [WANT * (1 + 2.0**-51)]) is not None


def test_errors_that_are_not_finite_are_not_kept() -> None:
    limit = Budget(WANT, np.full(WANT.shape, np.inf), PRECISIONS["float32"])
    with pytest.raises(ValueError, match=r"level/case\|float32\|value: an honest .* overflows"):
        encode({KEY: [limit]})


@pytest.mark.parametrize("name", SAMPLE)
def test_the_file_is_what_measuring_gives(name: str) -> None:
    """A failure after a change to the oracle: run python -m lmkernel_conformance.kept."""
    item = Item(CASES[name], CASES[name].dtypes[0])
    read, measured = (
        Subject(backend=load_backend("numpy")),
        Subject(backend=load_backend("numpy"), kept=NONE),
    )
    for s in (read, measured):
        assert attempt(s, item).error is None
    assert read.known.keys() == measured.known.keys()
    for key, limits in measured.known.items():
        assert kept_errors().find(key, [x.reference for x in limits]) is not None, key
        for one, other in zip(limits, read.known[key], strict=True):
            # Exponentials and products differ between machines by a unit, not by factors.
            near = np.maximum(one.honest, one.precision.ulp(replace(one).reference))
            assert (other.honest <= 4 * near).all()
            assert (one.honest <= 4 * np.maximum(other.honest, near / 2)).all()


def test_the_hash_names_the_content() -> None:
    index, codes = encode({KEY: [Budget(WANT, HONEST, PRECISIONS["float32"])]})
    assert KeptErrors(index, codes).hash != KeptErrors(index, codes + np.uint16(1)).hash
    assert len(kept_errors().hash) == 64
