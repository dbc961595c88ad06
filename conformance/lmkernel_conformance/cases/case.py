"""Cases, and the decorator that makes one of a function.

Constraint: a case runs on any backend through `Subject` alone; which ones run follows from the
profile, the levels and the dtypes that the backend declares. What is outside is not collected, and
nothing is ever skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lmkernel_conformance.subject import Subject

__all__ = ["LEVELS", "PROFILES", "Case", "Item", "case", "items"]

LEVELS = (
    "document",
    "operations",
    "gradients",
    "components",
    "models",
    "training",
    "generation",
    "checkpoints",
)
"""Lowest first: a level may build on all before it."""
PROFILES = ("inference", "training", "full")
_BOTH = ("float32", "float64")


@final
@dataclass(frozen=True, kw_only=True)
class Case:
    """One check.

    Args:
        level: one of `LEVELS`.
        name: unique, readable.
        run: does it, and raises `Discrepancy`.
        rows: the defects of the catalogue that it is made to catch.
        dtypes: floating dtypes that it runs in, where the backend declares them.
        training: whether it takes gradients.
        doc: what it checks, in a line.
    """

    level: str
    name: str
    run: Callable[[Subject], None]
    rows: tuple[int, ...] = ()
    dtypes: tuple[str, ...] = _BOTH
    training: bool = False
    doc: str = ""

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"case {self.name!r}: expected a level among {', '.join(LEVELS)}")

    def within(self, profile: str) -> bool:
        """Whether the profile asks for it."""
        if profile == "inference":
            return not self.training and self.level != "training"
        return profile == "full" or self.level not in ("generation", "checkpoints")


@final
@dataclass(frozen=True)
class Item:
    """A case in one dtype."""

    case: Case
    dtype: str

    @property
    def id(self) -> str:
        """Such as ``"softmax.large_logits-float32"``."""
        return f"{self.case.name}-{self.dtype}"


def case(
    *,
    level: str,
    id: str,  # noqa: A002 - the word that pytest uses
    rows: tuple[int, ...] = (),
    dtypes: tuple[str, ...] = _BOTH,
    training: bool = False,
) -> Callable[[Callable[[Subject], None]], Case]:
    """Make a case of a function; `lmkernel_conformance.cases` finds it by its type."""

    def made(run: Callable[[Subject], None]) -> Case:
        return Case(
            level=level,
            name=id,
            run=run,
            rows=rows,
            dtypes=dtypes,
            training=training,
            doc=(run.__doc__ or "").strip(),
        )

    return made


def items(
    cases: Iterable[Case], *, profile: str, levels: Iterable[str], declared: Iterable[str]
) -> Iterator[Item]:
    """What is to run, level by level.

    Args:
        cases: to choose from.
        profile: one of `PROFILES`.
        levels: some of `LEVELS`.
        declared: floating dtypes that the backend declares.
    """
    wanted, there = set(levels), set(declared)
    chosen = [c for c in cases if c.level in wanted and c.within(profile)]
    for made in sorted(chosen, key=lambda c: LEVELS.index(c.level)):
        yield from (Item(made, dtype) for dtype in made.dtypes if dtype in there)
