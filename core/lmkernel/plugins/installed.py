"""Finds the plugins that are installed: one for each entry point in the group ``lmkernel``.

Constraints: what lmkernel's own distribution registers comes first, in whatever order the others
are found, so that nobody takes a built-in name; each entry point is loaded by itself, since
pluggy's own loader stops at the first that breaks.
"""

from __future__ import annotations

import functools
import importlib.metadata
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lmkernel.errors import PluginError
from lmkernel.plugins.guard import describe, plugin_code
from lmkernel.plugins.process import kept_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from importlib.metadata import Distribution, EntryPoint

    Report = Callable[[str, PluginError], None]

__all__ = ["ENTRY_POINT_GROUP", "installed_plugins", "installed_versions"]

ENTRY_POINT_GROUP = "lmkernel"
OURS = "lmkernel"
"""The name of our own distribution."""


def installed_plugins(report: Report) -> Iterator[tuple[str, object]]:
    """Each plugin with its name; two of one name are told apart by their distributions.

    Args:
        report: called with the name of a plugin that cannot be loaded, and the error.
    """
    names: set[str] = set()
    points = _entry_points(report)
    for point in sorted(points, key=lambda point: _distribution_name(point.dist) != OURS):
        name = point.name
        if name in names:
            name = f"{name} of {_distribution_name(point.dist) or 'another distribution'}"
        names.add(name)
        tell = functools.partial(_tell, report, name)
        try:
            with (
                plugin_code(f"plugin {name!r} cannot be imported"),
                _keeping_modules(),
                kept_process(f"plugin {name!r}", tell),
            ):
                plugin = point.load()
        except PluginError as error:
            report(name, error)
        else:
            yield name, plugin


def _tell(report: Report, name: str, text: str) -> None:
    report(name, PluginError(text))


@contextmanager
def _keeping_modules() -> Iterator[None]:
    """Our own modules stay those that are imported; a second copy would know none of the first."""
    ours = {name: held for name, held in sys.modules.items() if name.partition(".")[0] == OURS}
    try:
        yield
    finally:
        sys.modules.update(ours)


def _entry_points(report: Report) -> list[EntryPoint]:
    try:
        return list(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))
    except Exception:  # noqa: BLE001 - metadata are read below one distribution at a time
        return list(_entry_points_one_by_one(report))


def _entry_points_one_by_one(report: Report) -> Iterator[EntryPoint]:
    """Those of all distributions but the ones whose metadata cannot be read."""
    for distribution in importlib.metadata.distributions():
        try:
            yield from distribution.entry_points.select(group=ENTRY_POINT_GROUP)
        except Exception as error:  # noqa: BLE001 - it may hold anything
            name = _distribution_name(distribution)
            text = f"the entry points of distribution {name!r} cannot be read: {describe(error)}"
            report(name, PluginError(text))


@functools.cache
def _distribution_name(distribution: Distribution | None) -> str:
    """Its name, or nothing where its metadata do not tell."""
    try:
        return str(distribution.metadata["Name"]) if distribution is not None else ""
    except Exception:  # noqa: BLE001 - it may hold anything
        return ""


def installed_versions(distributions: Iterable[str]) -> dict[str, str]:
    """The versions of those distributions that are installed, by name."""
    versions = {}
    for name in distributions:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions
