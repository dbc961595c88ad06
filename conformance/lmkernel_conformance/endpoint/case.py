"""A case: one thing that clients depend on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmkernel_conformance.endpoint.wire import Endpoint

__all__ = ["CATEGORIES", "EndpointCase", "cases_of"]

CATEGORIES = (
    *("required", "streaming", "log-probabilities", "tools", "structured"),
    *("responses", "embeddings", "audio", "errors", "limits"),
)
_ESSENTIAL = ("required", "streaming", "errors", "limits")


@final
@dataclass(frozen=True)
class EndpointCase:
    """One case.

    Args:
        category: one of `CATEGORIES`.
        name: what holds, in words joined by ``_``.
        check: raises `BrokenError` where it does not, `RefusedError` where the server has no such
            thing.
        optional: whether a server may refuse it.
    """

    category: str
    name: str
    check: Callable[[Endpoint], None]
    optional: bool

    @property
    def key(self) -> str:
        """``category/name``."""
        return f"{self.category}/{self.name}"

    @property
    def sentence(self) -> str:
        """What holds, in a sentence."""
        return (self.check.__doc__ or "").strip()


def cases_of(
    category: str, checks: Sequence[Callable[[Endpoint], None]], optional: Sequence[str] = ()
) -> tuple[EndpointCase, ...]:
    """The cases of a category: functions, each of which may be refused if its category may.

    Args:
        category: one of `CATEGORIES`.
        checks: named after what holds; their docstrings say it.
        optional: names of those that may be refused where the category may not.
    """
    may = category not in _ESSENTIAL
    return tuple(
        EndpointCase(category, check.__name__, check, may or check.__name__ in optional)
        for check in checks
    )
