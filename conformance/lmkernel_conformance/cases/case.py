"""Cases, and the decorator that makes a case of a function.

Constraint: a case reaches the backend through its `Subject` alone. Which cases run follows from the
profile, the levels and the declared dtypes; others are not collected, and nothing is ever skipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from lmkernel_conformance.levels import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from lmkernel_conformance.subject import Subject

__all__ = ["Case", "Item", "case", "items"]

_BOTH = ("float32", "float64")


@final
@dataclass(frozen=True, kw_only=True)
class Case:
    """One check of a backend.

    Args:
        level: one of `lmkernel_conformance.levels.LEVELS`.
        name: the name, unique within the level.
        run: the function that makes the check, and raises `Discrepancy`.
        rows: the rows of the catalogue, that is the defects, that it is made to catch.
        dtypes: the floating dtypes that it runs in, where the backend declares them.
        training: whether it takes gradients.
        doc: the line that says what it checks.
        design: the name of the design of which it tries one row, or empty.
        tried: the levels of that row, by factor.
    """

    level: str
    name: str
    run: Callable[[Subject], None]
    rows: tuple[int, ...] = ()
    dtypes: tuple[str, ...] = _BOTH
    training: bool = False
    doc: str = ""
    design: str = ""
    tried: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"case {self.name!r}: expected a level among {', '.join(LEVELS)}")

    def within(self, profile: str) -> bool:
        """Whether the case belongs to a profile."""
        if profile == "inference":
            return not self.training and self.level != "training"
        return profile == "full" or self.level not in ("generation", "checkpoints")


@final
@dataclass(frozen=True)
class Item:
    """A case in one dtype.

    Args:
        case: the case.
        dtype: the floating dtype that it runs in.
    """

    case: Case
    dtype: str

    @property
    def id(self) -> str:
        """The id of the test, such as ``"softmax.large_logits-float32"``."""
        return f"{self.case.name}-{self.dtype}"


def case(
    *,
    level: str,
    id: str,  # noqa: A002 - the word that pytest uses
    rows: tuple[int, ...] = (),
    dtypes: tuple[str, ...] = _BOTH,
    training: bool = False,
) -> Callable[[Callable[[Subject], None]], Case]:
    """Make a case of a function, whose docstring says what it checks.

    `lmkernel_conformance.cases` finds it by its type.

    Args:
        level: one of `lmkernel_conformance.levels.LEVELS`.
        id: the name of the case.
        rows: the rows of the catalogue that it is made to catch.
        dtypes: the floating dtypes that it runs in.
        training: whether it takes gradients.
    """

    def make_case(run: Callable[[Subject], None]) -> Case:
        return Case(
            level=level,
            name=id,
            run=run,
            rows=rows,
            dtypes=dtypes,
            training=training,
            doc=(run.__doc__ or "").strip(),
        )

    return make_case


def items(
    cases: Iterable[Case], *, profile: str, levels: Iterable[str], declared: Iterable[str]
) -> Iterator[Item]:
    """The items to run, level by level.

    Args:
        cases: the cases to choose from.
        profile: one of `lmkernel_conformance.levels.PROFILES`.
        levels: some of `lmkernel_conformance.levels.LEVELS`.
        declared: the floating dtypes that the backend declares.
    """
    wanted, there = set(levels), set(declared)
    chosen = [c for c in cases if c.level in wanted and c.within(profile)]
    for one in sorted(chosen, key=lambda c: LEVELS.index(c.level)):
        yield from (Item(one, dtype) for dtype in one.dtypes if dtype in there)
