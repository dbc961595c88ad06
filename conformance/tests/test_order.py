"""Cases hold in any order, alone and together: none relies on what another has left."""

from __future__ import annotations

import random

from lmkernel.backend import load_backend
from lmkernel_conformance.cases import CASES, Item
from lmkernel_conformance.runner import attempt
from lmkernel_conformance.subject import Subject

SLOW = (
    "distribution/",  # of two processes
    "training/",
    "operations/cross_entropy.large_vocabulary",
    "models/law.compiled",
)
EVERY = 7


def test_m4_cases_hold_backwards_and_shuffled() -> None:
    names = [n for n in CASES if not n.startswith(SLOW) and "float32" in CASES[n].dtypes]
    chosen = names[::EVERY]
    shuffled = random.Random(11).sample(chosen, len(chosen))  # noqa: S311 - an order, no secret
    subject = Subject(backend=load_backend("numpy"))
    for order in (chosen[::-1], shuffled):
        failed = [n for n in order if attempt(subject, Item(CASES[n], "float32")).error is not None]
        assert failed == []
