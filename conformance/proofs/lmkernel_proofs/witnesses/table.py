"""All points, and the witnesses of each function of the oracle."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, final

from lmkernel_conformance import oracle
from lmkernel_proofs.witnesses import (
    activations,
    attentions,
    delta,
    distances,
    models,
    norms,
    primitives,
    recurrents,
    runs,
    samples,
    updates,
)
from lmkernel_proofs.witnesses.libraries import TORCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lmkernel_proofs.witnesses.point import Point

__all__ = ["BESIDE", "POINTS", "Witness", "functions", "witnesses"]

_MODULES = (
    primitives, activations, norms, attentions, delta, distances, recurrents, models, updates, runs,
    samples,
)  # fmt: skip

POINTS: Mapping[str, Point] = MappingProxyType(
    {point.id: point for module in _MODULES for point in module.POINTS}
)
"""All points by id."""

_NO_FORMULAS = "rounding"
"""The module of the oracle that computes nothing: it moves what others have computed."""


@final
@dataclass(frozen=True)
class Witness:
    """One witness of one function.

    Args:
        of: function of the oracle, as ``module.function``.
        kind: one of ``"mpmath"``, ``"SciPy"``, ``"closed form"``, ``"torch"``, ``"transformers"``.
        how: form in which the witness computes it.
        where: id of the point, or file and name of the test.
    """

    of: str
    kind: str
    how: str
    where: str


_CLOSED, _REAL = "conformance/tests/test_oracle.py", "conformance/real/test_witness_transformers.py"

BESIDE: tuple[Witness, ...] = (
    *(
        Witness(f"activation.{name}", "SciPy", how, f"{_CLOSED}::test_{test}")
        for name, how, test in (
            ("softmax", "scipy.special.softmax", "softmax"),
            ("log_softmax", "scipy.special.log_softmax", "softmax"),
            ("gelu", "scipy.stats.norm", "gelu_is_x_times_the_normal_distribution"),
            ("silu", "scipy.special.expit", "silu"),
        )
    ),
    *(
        Witness(of, "closed form", how, f"{_CLOSED}::test_{test}")
        for of, how, test in (
            (
                "positions.rotate",
                "products depend on the distance alone",
                "rotated_products_depend_on_distance_alone",
            ),
            (
                "attention.attention",
                "one visible key gives its value",
                "attention_with_one_visible_key_is_its_value",
            ),
            ("loss.cross_entropy", "even odds", "cross_entropy_of_even_odds"),
        )
    ),
    *(
        Witness(
            of,
            "transformers",
            "Llama, Qwen 2, Qwen 3, Mistral, GPT-2 and BERT",
            f"{_REAL}::test_{t}",
        )
        for of, t in (
            ("model.forward", "whole_models"),
            ("transformer.stack", "whole_models"),
            ("transformer.multi_head", "whole_models"),
            ("model.embed", "whole_models"),
            ("positions.frequencies", "frequencies"),
            ("positions.rotation", "whole_models"),
        )
    ),
)
"""Witnesses that are tests of their own rather than points."""


def functions() -> list[str]:
    """Every public function of the oracle, and the methods of its arithmetic."""
    found = []
    for info in pkgutil.iter_modules(oracle.__path__):
        if info.name == _NO_FORMULAS:
            continue
        module = importlib.import_module(f"{oracle.__name__}.{info.name}")
        for name in module.__all__:
            value = getattr(module, name)
            if info.name == "arithmetic" and inspect.isclass(value):
                found += [f"arithmetic.{name}.{method}" for method in _methods(value)]
            else:
                found.append(f"{info.name}.{name}")
    return found


def _methods(owner: type) -> Iterator[str]:
    return (name for name, value in vars(owner).items() if callable(value) and name[0] != "_")


def witnesses() -> list[Witness]:
    """All witnesses, ordered by function."""
    found = [
        Witness(of, "mpmath", point.how, point.id) for point in POINTS.values() for of in point.of
    ]
    found += [
        Witness(of, "torch", TORCH[point.id].name, point.id)
        for point in POINTS.values()
        if point.id in TORCH
        for of in point.of
    ]
    return sorted([*found, *BESIDE], key=lambda w: (w.of, _ORDER.index(w.kind), w.where))


_ORDER = ("mpmath", "SciPy", "closed form", "torch", "transformers")
