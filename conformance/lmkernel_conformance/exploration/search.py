"""Draws examples with Hypothesis, has a worker process judge them, and shrinks those that fail.

Constraints: this process never imports the backend, so that a crash is a failure like any other. A
seed, a number of examples and a version of Hypothesis determine the examples: there is no database
between runs and no deadline, and nothing is written to the caller's folder.
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

    from lmkernel_conformance.exploration.draw import Example
    from lmkernel_conformance.exploration.property import Property
    from lmkernel_conformance.isolation.session import Plan

__all__ = ["Finding", "SearchResult", "explore"]

_SEED_BITS = 32
_MOST_RESTARTS = 30
"""How many processes one property may cost while Hypothesis shrinks a crash."""


@final
@dataclass(frozen=True, kw_only=True)
class Finding:
    """The smallest failing example of a property.

    Args:
        operation: the property's name.
        dtype: the dtype in which it fails.
        drawn: the example.
        message: the sentence that says what the backend did.
    """

    operation: str
    dtype: str
    drawn: Example
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
class SearchResult:
    """The result of a search.

    Args:
        seed: the seed that gives the same examples again.
        asked: the number of examples asked for, of each property.
        examples: the number of examples judged, by the property's name.
        findings: the failures, at most one for each property.
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
    on_progress: Callable[[str, int], None] = lambda _name, _count: None,
) -> SearchResult:
    """Search for inputs on which a backend fails.

    Args:
        plan: the backend, its device, and the time limit of one example.
        examples: the number of examples of each property.
        seed: the seed of an earlier search; by default a fresh one.
        properties: the properties to search.
        on_progress: a function that gets the name of each property that is done, and the number of
            examples judged.

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
        for prop in properties:
            search = _Search(prop, judge)
            if search.dtypes:
                found = search.run(examples, chosen)
                findings += [] if found is None else [found]
            counts[prop.name] = search.count
            on_progress(prop.name, search.count)
    return SearchResult(seed=chosen, asked=examples, examples=counts, findings=tuple(findings))


def _require_hypothesis() -> None:
    try:
        import hypothesis  # noqa: F401 - whether it is there
    except ImportError:
        raise MissingDependencyError(
            "exploring needs Hypothesis; run: pip install 'lmkernel[explore]'"
        ) from None


@contextlib.contextmanager
def _nowhere() -> Iterator[None]:
    """Give Hypothesis a temporary folder as its home, so that it leaves nothing behind."""
    from hypothesis.configuration import set_hypothesis_home_dir

    with tempfile.TemporaryDirectory() as folder:
        set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            set_hypothesis_home_dir(None)


class _Failure(Exception):  # noqa: N818 - a finding, which Hypothesis shrinks
    """An example fails."""


class _Enough(BaseException):
    """A property has cost enough processes; Hypothesis lets a `BaseException` through."""


@final
class _Search:
    """The search of one property on one backend."""

    def __init__(self, prop: Property, judge: Judge) -> None:
        self._property, self._judge = prop, judge
        self._failing: Finding | None = None
        self._restarts = judge.restarts
        self.dtypes = [dtype for dtype in prop.dtypes if dtype in judge.dtypes]
        self.count = 0

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
        # Each property has a seed of its own, derived from the search's: leaving one out, or adding
        # one, does not change the examples of the others.
        own = int(raw_words(seed, f"explore.{self._property.name}", 1)[0])
        try:
            hypothesis.seed(own)(settings(given))()
        except (_Failure, _Enough):
            return self._failing
        # Hypothesis runs a failing example again before it reports it. If that passes, the backend
        # does not give the same result twice, which is a finding as well.
        except errors.Flaky:
            return self._flaky_finding()
        except errors.Unsatisfiable:
            return None
        return None

    def _attempt(self, data: Any) -> None:
        import hypothesis

        draw = _Drawing(data)
        dtype, drawn = draw.pick(self.dtypes), self._property.draw(draw)
        answer = self._judge.ask(self._property.name, dtype, drawn)
        if answer.get("exception") == "Unsuitable":
            hypothesis.reject()
        self.count += 1
        # An operation that the backend declares unsupported is not a failure. The last failing
        # example that Hypothesis tries is the smallest one.
        if answer["outcome"] != "passed" and not answer.get("refused"):
            self._failing = Finding(
                operation=self._property.name, dtype=dtype, drawn=drawn, message=answer["message"]
            )
            spent = self._judge.restarts - self._restarts
            raise _Enough if spent > _MOST_RESTARTS else _Failure

    def _flaky_finding(self) -> Finding | None:
        """The failure that did not repeat."""
        found = self._failing
        return found and replace(found, message=f"{found.message} (not every time)")


@final
class _Drawing(Draw):
    """Choices drawn by Hypothesis, which can shrink them."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def integer(self, low: int, high: int) -> int:
        from hypothesis import strategies

        return int(self._data.draw(strategies.integers(low, high)))

    def number(self, low: float, high: float) -> float:
        from hypothesis import strategies

        return float(self._data.draw(strategies.floats(low, high, allow_subnormal=False)))
