"""The suite under pytest: its options, the collection of cases, and the fixture ``subject``.

Besides it has a fixture for authors of ports of checkpoints, ``lmkernel_verify``.

Constraints: loading the plugin imports neither NumPy nor a framework, since pytest loads it
wherever lmkernel is installed. A backend whose framework is missing fails every case. Nothing is
skipped; cases outside the profile are not collected.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lmkernel_conformance.levels import PROFILES, levels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmkernel.backend import Backend
    from lmkernel_conformance.cases import Item
    from lmkernel_conformance.subject import Subject

_SUITE = pytest.StashKey[Any]()
_REPORT = pytest.StashKey[list[dict[str, Any]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options: the backend, the profile, the levels, and the report."""
    group = parser.getgroup("lmkernel", "conformance of a backend")
    group.addoption(
        "--lmkernel-backend",
        metavar="NAME",
        help="the backend; by default LMKERNEL_BACKEND, else the default backend",
    )
    group.addoption(
        "--lmkernel-profile",
        choices=PROFILES,
        default="full",
        help="which cases are collected (default: full)",
    )
    group.addoption(
        "--lmkernel-level",
        action="append",
        metavar="LEVEL",
        help="only this level; may be repeated",
    )
    group.addoption("--lmkernel-report", metavar="FILE", help="write results as JSON lines here")


@pytest.fixture
def lmkernel_verify() -> Callable[..., Any]:
    """Verify a port of a checkpoint: ``lmkernel_verify(checkpoint, subject=…)``.

    The arguments are those of `lmkernel.verify`. The test fails with the whole table if the subject
    is wrong; otherwise what was found is returned.
    """

    def verify(checkpoint: Any, *, subject: Any, **options: Any) -> Any:
        from lmkernel.verification.verb import verify as verb

        found = verb(checkpoint, subject=subject, **{"progress": False, **options})
        if not found.passed:
            pytest.fail(str(found), pytrace=False)
        return found

    return verify


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each item of the module's level."""
    if "conformance_item" in metafunc.fixturenames:
        level = metafunc.module.LEVEL
        chosen = _items(metafunc.config, level)
        metafunc.parametrize("conformance_item", chosen, ids=[item.id for item in chosen])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the placeholders of empty levels, which pytest would report as skipped."""
    empty = [item for item in items if item.name.endswith("[NOTSET]")]
    if empty:
        config.hook.pytest_deselected(items=empty)
        items[:] = [item for item in items if item not in empty]


def _items(config: pytest.Config, level: str) -> list[Item]:
    """The items of a level, from the backend's spec, which needs no import of its framework."""
    from lmkernel.plugins import BackendSpec, default_registry
    from lmkernel.plugins.registry import DEFAULT_BACKEND, ENVIRONMENT_VARIABLE
    from lmkernel_conformance.cases import CASES, items

    levels = config.getoption("--lmkernel-level")
    if levels and level not in levels:
        return []
    import os

    name = _name(config) or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_BACKEND
    spec = default_registry().get(BackendSpec, name)
    if level not in levels_of(distributes=bool(spec.distribute)):
        return []
    profile, declared = config.getoption("--lmkernel-profile"), spec.capabilities.dtypes
    return list(items(CASES.values(), profile=profile, levels=[level], declared=declared))


def _name(config: pytest.Config) -> str | None:
    name: str | None = config.getoption("--lmkernel-backend")
    return name


@pytest.fixture(scope="session")
def lmkernel_backend(request: pytest.FixtureRequest) -> Backend:
    """Load the backend under test; a missing framework is an error."""
    from lmkernel.backend import load_backend

    return load_backend(_name(request.config))


@pytest.fixture(scope="session")
def lmkernel_budgets(lmkernel_backend: Backend) -> Subject:
    """The subject that holds the budgets of the session."""
    from lmkernel_conformance.subject import Subject

    return Subject(backend=lmkernel_backend)


@pytest.fixture
def subject(lmkernel_budgets: Subject, request: pytest.FixtureRequest) -> Iterator[Subject]:
    """The backend in the item's dtype, or in float32, inside its scope."""
    from dataclasses import replace

    item = _conformance_item(request.node)
    name = f"{item.case.level}/{item.case.name}" if item else request.node.name
    dtype = item.dtype if item else "float32"
    with lmkernel_budgets.backend.scope():
        yield replace(lmkernel_budgets, dtype=dtype, case=name, records=[])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Keep a row for the report of the session."""
    report: Any = yield
    chosen = _conformance_item(item)
    final = report.when == "call" or report.failed
    if chosen is not None and final and item.config.getoption("--lmkernel-report"):
        item.config.stash.setdefault(_REPORT, []).append(_row(chosen, report, item))
    return report  # type: ignore[no-any-return]  # pytest's own


def _conformance_item(item: pytest.Item) -> Item | None:
    """The case and dtype of a test; None for a test outside the suite."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("conformance_item") if callspec is not None else None


def _row(chosen: Item, report: Any, item: pytest.Item) -> dict[str, Any]:
    subject = getattr(item, "funcargs", {}).get("subject")
    from lmkernel_conformance.budget import largest_shares

    measured = [record.measurement for record in subject.records] if subject else []
    return {
        "level": chosen.case.level,
        "case": chosen.case.name,
        "dtype": chosen.dtype,
        "rows": list(chosen.case.rows),
        "outcome": report.outcome,
        "message": _message(report),
        "share": max((m.share for m in measured), default=0.0),
        "shares": largest_shares(measured),
        "ulps": max((m.ulps for m in measured), default=0.0),
    }


def _message(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr or "")
    return text.splitlines()[0] if text else ""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report, one JSON object a line."""
    place = session.config.getoption("--lmkernel-report")
    if place:
        rows = session.config.stash.get(_REPORT, [])
        Path(place).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
