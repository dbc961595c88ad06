"""Draws examples with Hypothesis, has a process of the backend judge them, and shrinks what fails.

Constraints: this process never imports the backend, and a crash is a failure like any other. One
seed, one number of examples and one version of Hypothesis give the same examples always: nothing is
kept between runs, no clock has a say, and nothing is written to the folder of the caller.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import tempfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import InputError, MissingDependencyError
from lmkernel.random import raw_words
from lmkernel_conformance.exploration.draw import Draw, short
from lmkernel_conformance.exploration.judge import Judge
from lmkernel_conformance.exploration.table import PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lmkernel_conformance.exploration.draw import Drawn
    from lmkernel_conformance.exploration.property import Property
    from lmkernel_conformance.isolation.session import Plan

__all__ = ["Explored", "Finding", "explore"]

_SEED_BITS = 32
_MOST_RESTARTS = 30
"""How many processes one property may cost while a crash is made smaller."""


@final
@dataclass(frozen=True, kw_only=True)
class Finding:
    """The smallest example that was found to fail.

    Args:
        operation: the property's name.
        dtype: in which it fails.
        drawn: what was drawn.
        message: what the backend did.
    """

    operation: str
    dtype: str
    drawn: Drawn
    message: str

    def __str__(self) -> str:
        about = {name: x for name, x in self.drawn.items() if x is not None}
        return f"{self.operation}[{self.dtype}]: {self.message}\n    {short(about)}"

    @property
    def json(self) -> str:
        """The example as ``python -m lmkernel_conformance.exploration`` takes it."""
        return json.dumps(
            {"operation": self.operation, "dtype": self.dtype, "drawn": self.drawn},
            ensure_ascii=False,
        )


@final
@dataclass(frozen=True, kw_only=True)
class Explored:
    """What became of a search.

    Args:
        seed: that gives the same examples again.
        asked: how many examples of each property were asked for.
        examples: how many of each property were judged, by its name.
        findings: at most one for each property.
    """

    seed: int
    asked: int
    examples: dict[str, int]
    findings: tuple[Finding, ...]


def explore(
    plan: Plan,
    *,
    examples: int = 100,
    seed: int | None = None,
    properties: Iterable[Property] = tuple(PROPERTIES.values()),
    told: Callable[[str, int], None] = lambda _name, _count: None,
) -> Explored:
    """Search for inputs on which a backend fails.

    Args:
        plan: the backend, its device, and the time limit of one example.
        examples: of each property.
        seed: of an earlier search; by default a fresh one.
        properties: what is searched.
        told: called with a property's name, and how many examples were judged, when it is done.

    Raises:
        MissingDependencyError: Hypothesis is not installed.
        InputError: less than one example, or a backend that cannot be loaded.
    """
    _require_hypothesis()
    if examples < 1:
        raise InputError(f"expected at least 1 example, got {examples}")
    chosen = secrets.randbits(_SEED_BITS) if seed is None else seed
    counts, findings = {}, []
    with _nowhere(), Judge(plan) as judge:
        for made in properties:
            search = _Search(made, judge)
            if search.dtypes:
                found = search.run(examples, chosen)
                findings += [] if found is None else [found]
            counts[made.name] = search.judged
            told(made.name, search.judged)
    return Explored(seed=chosen, asked=examples, examples=counts, findings=tuple(findings))


def _require_hypothesis() -> None:
    try:
        import hypothesis  # noqa: F401 - whether it is there
    except ImportError:
        raise MissingDependencyError(
            "exploring needs Hypothesis; run: pip install 'lmkernel[explore]'"
        ) from None


@contextlib.contextmanager
def _nowhere() -> Iterator[None]:
    """What Hypothesis keeps for itself goes to a folder that is gone afterwards."""
    from hypothesis.configuration import set_hypothesis_home_dir

    with tempfile.TemporaryDirectory() as folder:
        set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            set_hypothesis_home_dir(None)


class _Failed(Exception):  # noqa: N818 - a finding, which Hypothesis makes smaller
    """An example that fails."""


class _Enough(BaseException):
    """No more processes are to be spent on one property; Hypothesis lets it through."""


@final
class _Search:
    """One property on one backend."""

    def __init__(self, made: Property, judge: Judge) -> None:
        self._made, self._judge = made, judge
        self._failing: Finding | None = None
        self._restarts = judge.restarts
        self.dtypes = [dtype for dtype in made.dtypes if dtype in judge.dtypes]
        self.judged = 0

    def run(self, examples: int, seed: int) -> Finding | None:
        """The smallest failing example, or None."""
        import hypothesis
        from hypothesis import errors, strategies

        settings = hypothesis.settings(
            max_examples=examples,
            database=None,
            deadline=None,
            derandomize=False,
            print_blob=False,
            report_multiple_bugs=False,
            phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
            suppress_health_check=list(hypothesis.HealthCheck),
            verbosity=hypothesis.Verbosity.quiet,
        )
        given = hypothesis.given(strategies.data())(self._attempt)
        own = int(raw_words(seed, f"explore.{self._made.name}", 1)[0])
        try:
            hypothesis.seed(own)(settings(given))()
        except (_Failed, _Enough):
            return self._failing
        except errors.Flaky:
            return self._sometimes()
        except errors.Unsatisfiable:
            return None
        return None

    def _attempt(self, data: Any) -> None:
        import hypothesis

        draw = _Drawing(data)
        dtype, drawn = draw.pick(self.dtypes), self._made.draw(draw)
        answer = self._judge.ask(self._made.name, dtype, drawn)
        if answer.get("exception") == "Unsuitable":
            hypothesis.reject()
        self.judged += 1
        if answer["outcome"] != "passed" and not answer.get("refused"):
            self._failing = Finding(
                operation=self._made.name, dtype=dtype, drawn=drawn, message=answer["message"]
            )
            spent = self._judge.restarts - self._restarts
            raise _Enough if spent > _MOST_RESTARTS else _Failed

    def _sometimes(self) -> Finding | None:
        """A failure that did not come again."""
        found = self._failing
        return found and replace(found, message=f"{found.message} (not every time)")


@final
class _Drawing(Draw):
    """Hypothesis draws."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def integer(self, low: int, high: int) -> int:
        from hypothesis import strategies

        return int(self._data.draw(strategies.integers(low, high)))

    def number(self, low: float, high: float) -> float:
        from hypothesis import strategies

        return float(self._data.draw(strategies.floats(low, high, allow_subnormal=False)))
