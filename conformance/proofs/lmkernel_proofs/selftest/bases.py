"""The correct backends that mechanical mutants run on, and which cases run on each.

Constraint: together they reach every path of the compositions. The reference backend alone does
not, because it overrides many of them and declares no 16-bit dtype.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, final

from lmkernel.composed import assemble
from lmkernel_conformance.cases import CASES, LEVELS, Item, items
from lmkernel_proofs.mutants.mutant import narrow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.backend import Backend

__all__ = ["BASES", "Base", "Run", "runs"]

_SLOW = ("training/curve.", "training/programs")

_HALF = "float16"
_LISTED = [case for case in CASES.values() if not case.design]


class Run(NamedTuple):
    """One case on one base in one dtype."""

    base: str
    case: str
    dtype: str

    @property
    def level(self) -> str:
        """The level of the case."""
        return CASES[self.case].level

    @property
    def item(self) -> Item:
        """The case and dtype as the suite's runner takes them."""
        return Item(CASES[self.case], self.dtype)

    @property
    def slow(self) -> bool:
        """Whether it trains for long: an ordinary self-test runs such cases only where it must."""
        return self.case.startswith(_SLOW)

    @property
    def designed(self) -> bool:
        """Whether it is a row of a design: these run for mutants that no other case kills."""
        return bool(CASES[self.case].design)

    def __str__(self) -> str:
        return f"{self.case}[{self.dtype}] on {self.base}"


@final
@dataclass(frozen=True)
class Base:
    """A correct backend.

    Args:
        make: function that derives it from the reference backend.
        dtypes: dtypes whose cases run on it.
        levels: levels whose cases run on it.
    """

    make: Callable[[Backend], Backend]
    dtypes: tuple[str, ...] = ("float32", "float64")
    levels: tuple[str, ...] = LEVELS


def _compositions_only(backend: Backend) -> Backend:
    return replace(backend, ops=assemble(backend.ops, {}))


def _float16_backend(backend: Backend) -> Backend:
    return narrow((_HALF,))(backend)


BASES: Mapping[str, Base] = MappingProxyType(
    {
        "reference": Base(lambda backend: backend),
        "composed": Base(_compositions_only, levels=LEVELS[:5]),
        "16 bits": Base(_float16_backend, dtypes=(_HALF,)),
    }
)
"""The bases by name."""


def runs() -> list[Run]:
    """Every case but the rows of designs, on every base in every dtype, lowest level first."""
    found = [
        Run(name, f"{item.case.level}/{item.case.name}", item.dtype)
        for name, base in BASES.items()
        for item in items(_LISTED, profile="full", levels=base.levels, declared=base.dtypes)
    ]
    return sorted(found, key=lambda run: LEVELS.index(run.level))
