"""Searches find what is broken, shrink it, and repeat for the same seed."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import subprocess
import sys
import zlib
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from own_backends import Own, install

import lmkernel_conformance
from lmkernel.backend import load_backend
from lmkernel.contract.mandatory import MandatoryOps
from lmkernel.contract.optional import OptionalOps
from lmkernel.errors import InputError, MissingDependencyError
from lmkernel_conformance.exploration import Finding, SearchResult, describe_search, explore
from lmkernel_conformance.exploration.__main__ import main
from lmkernel_conformance.exploration.draw import Draw, short
from lmkernel_conformance.exploration.property import Property, Unsuitable, judge_example
from lmkernel_conformance.exploration.table import PROPERTIES
from lmkernel_conformance.isolation.session import Plan
from lmkernel_conformance.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Search = Callable[..., SearchResult]

# A softmax of more than two axes, along one that is not of extent 1, is off by a thousandth.
WRONG_SOFTMAX = """
def overrides(parts):
    from lmkernel.composed import assemble

    right = assemble(parts.mandatory, parts.overrides).softmax

    def softmax(x, axis=-1):
        y = right(x, axis)
        return y * 1.001 if x.ndim > 2 and x.shape[axis] > 1 else y

    return {"softmax": softmax}
"""
CRASHING = """
def overrides(parts):
    import os

    def relu(x):
        if x.ndim == 3:
            os.abort()
        return x * (x > 0)

    return {"relu": relu}
"""
FICKLE = """
def overrides(parts):
    calls = []

    def relu(x):
        calls.append(1)
        return x * (x > 0) + (1.0 if len(calls) == 5 else 0.0)

    return {"relu": relu}
"""


@pytest.fixture
def search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Search:
    """A function that installs a backend of the test's own and searches it, in an empty folder."""
    name = f"explored_{zlib.crc32(request.node.nodeid.encode())}"
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")

    def search_backend(
        source: str, names: Sequence[str], seed: int = 5, examples: int = 60
    ) -> SearchResult:
        install(tmp_path, name, Own(source=source))
        paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
        plan, properties = Plan(backend=name, limit=30.0), [PROPERTIES[n] for n in names]
        return explore(plan, examples=examples, seed=seed, properties=properties)

    return search_backend


def test_a_broken_operation_is_found_and_made_small(search: Search) -> None:
    found = search(WRONG_SOFTMAX, ["log_softmax", "softmax"])
    [finding] = found.findings
    assert finding.operation == "softmax"
    shape, axis = finding.drawn["x"].pop("shape"), finding.drawn["axis"]
    assert finding.drawn["x"] == {"scale": 1.0, "shift": 0.0, "seed": 0}
    assert (sorted(shape), shape[axis]) == ([1, 1, 2], 2)
    assert finding.dtype == "float32"
    assert "value: expected 0." in finding.message
    assert found.examples["log_softmax"] == 60


def test_one_seed_gives_the_same_search(search: Search, tmp_path: Path) -> None:
    first, again = (search(WRONG_SOFTMAX, ["softmax", "rotate"]) for _ in range(2))
    assert first == again
    assert first.seed == 5
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_fresh_seed_is_said_and_repeats(search: Search) -> None:
    found = search("", ["relu"], seed=None, examples=5)
    assert search("", ["relu"], seed=found.seed, examples=5) == found


def test_a_crash_is_made_small_too(search: Search) -> None:
    [finding] = search(CRASHING, ["relu"], examples=20).findings
    assert "SIGABRT" in finding.message
    assert finding.drawn["axes"] == 3


def test_what_fails_once_is_said_to(search: Search) -> None:
    [finding] = search(FICKLE, ["relu"]).findings
    assert finding.message.endswith(" (not every time)")


def test_an_honest_backend_passes(search: Search) -> None:
    names = ("attention", "cache", "linear", "layer_norm", "scan", "dropout", "adam_update")
    found = search("", names, examples=25)
    assert found.findings == ()
    assert all(count >= 20 for count in found.examples.values())


def test_a_backend_that_cannot_be_loaded_is_an_error(search: Search) -> None:
    with pytest.raises(InputError, match="No module named 'nowhere_to_be_found'"):
        search("import nowhere_to_be_found", ["relu"])


def test_without_hypothesis_the_command_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lmkernel\[explore\]'"):
        explore(Plan(backend="numpy"))


def test_no_examples_are_an_error() -> None:
    with pytest.raises(InputError, match="at least 1 example, got 0"):
        explore(Plan(backend="numpy"), examples=0)


def test_an_example_can_be_repeated_here(
    search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [finding] = search(WRONG_SOFTMAX, ["softmax"]).findings
    assert main([finding.json, "--backend", "numpy"]) == 0
    assert capsys.readouterr().out == "passed\n"
    name = next(place.name for place in tmp_path.glob("explored_*") if "-" not in place.name)
    command = [sys.executable, "-m", "lmkernel_conformance.exploration", finding.json]
    done = subprocess.run(
        [*command, "--backend", name], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert finding.message in done.stderr


def test_a_failure_comes_with_the_commands_that_repeat_it() -> None:
    finding = Finding(operation="relu", dtype="float32", drawn={"axes": 1}, message="it's wrong")
    found = SearchResult(seed=7, asked=30, examples={"relu": 9, "exp": 30}, findings=(finding,))
    lines = describe_search(found, "toy").splitlines()
    assert lines[:3] == [
        "relu[float32]: it's wrong",
        "    axes: 1",
        "    lmkernel certify toy --explore 30 --seed 7",
    ]
    words = shlex.split(lines[3])
    assert words[:-1] == ["python", "-m", "lmkernel_conformance.exploration", "--backend", "toy"]
    assert json.loads(words[-1])["drawn"] == {"axes": 1}
    assert lines[4:] == ["seed 7: 39 examples of 2 properties: 1 failures"]


def test_hypothesis_is_imported_by_the_search_alone() -> None:
    root = Path(lmkernel_conformance.__file__).parent
    users = {
        file.relative_to(root).as_posix()
        for file in root.rglob("*.py")
        if "import hypothesis" in (text := file.read_text(encoding="utf-8"))
        or "from hypothesis" in text
    }
    assert users == {"exploration/search.py"}


class RandomDraw(Draw):
    """Choices from Python's own generator."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - no secret

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def number(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)


@pytest.mark.parametrize("one", PROPERTIES.values(), ids=list(PROPERTIES))
def test_each_property_holds_on_the_default_backend(one: Property) -> None:
    backend = load_backend("numpy")
    subject = Subject(backend=backend, dtype="float64", case=one.name)
    with backend.scope():
        for seed in range(12):
            drawn = one.draw(RandomDraw(seed))
            judge_example(subject, one, drawn)
            assert short(drawn)


def test_every_operation_is_drawn() -> None:
    called: set[str] = set()
    backend = load_backend("numpy")

    class Recorder:
        def __getattr__(self, name: str) -> Any:
            called.add(name)
            return getattr(backend.ops, name)

    subject = Subject(backend=backend).with_ops(Recorder())  # type: ignore[arg-type]  # tells who is called
    declared = MandatoryOps.__abstractmethods__ | OptionalOps.__abstractmethods__
    with backend.scope():
        for seed, one in itertools.product(range(30), PROPERTIES.values()):
            if not declared <= called:
                judge_example(subject, one, one.draw(RandomDraw(seed)))
    assert declared - called == set()


def test_what_overflows_says_nothing() -> None:
    backend = load_backend("numpy")
    overflow = Property(
        name="overflow",
        draw=lambda _: {},
        check=lambda s, _: s.agree("value", s.constant(1.0), lambda ar: ar.full((), 1.0) * 1e39),
    )
    with backend.scope(), pytest.raises(Unsuitable):
        judge_example(Subject(backend=backend), overflow, {})
