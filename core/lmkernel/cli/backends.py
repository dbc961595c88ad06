"""``lmkernel backends``: what is registered, what is installed, and, if asked, what works.

Constraint: without ``--probe`` nothing of a backend is imported; all comes from the specs and from
the metadata of what is installed.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.command import Command
from lmkernel.cli.style import columns, paint
from lmkernel.plugins import BackendSpec
from lmkernel.plugins.registry import DEFAULT_BACKEND, ENVIRONMENT_VARIABLE

if TYPE_CHECKING:
    import argparse

    from lmkernel.plugins import Registry

__all__ = ["Backends"]


@final
class Backends(Command):
    """One row for each backend; faults of plugins go to standard error."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """How to print, and whether to try."""
        parser.add_argument("--json", action="store_true", help="print a list of objects")
        parser.add_argument(
            "--probe", action="store_true", help="load each installed backend and multiply with it"
        )

    def run(self, args: argparse.Namespace) -> int:
        """Print the list; the code is 1 if a probed backend is broken."""
        rows = [_row(spec) for spec in self.registry.all(BackendSpec).values()]
        if args.probe:
            _probe_all(rows, self.registry)
        _warn(self.registry)
        print(json.dumps(rows, indent=2) if args.json else _text(rows))
        return int(any(row.get("probe") not in (None, "ok") for row in rows))


def _row(spec: BackendSpec) -> dict[str, Any]:
    capabilities = spec.capabilities
    return {
        "name": spec.name,
        "description": spec.description,
        "installed": _installed(spec),
        "versions": _versions(spec),
        "install": spec.install,
        "devices": list(capabilities.devices),
        "dtypes": list(capabilities.dtypes),
        "device_dtypes": {kind: list(own) for kind, own in capabilities.device_dtypes.items()},
        "compiled": capabilities.compiled,
        "shape_step": capabilities.shape_step,
        "unsupported": dict(capabilities.unsupported),
        "contract": spec.contract,
        "default": spec.name == DEFAULT_BACKEND,
        "selected": spec.name == _selected(),
    }


def _selected() -> str:
    return os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_BACKEND


def _installed(spec: BackendSpec) -> bool:
    from importlib.util import find_spec

    return all(find_spec(module) is not None for module in spec.requires)


def _versions(spec: BackendSpec) -> dict[str, str]:
    """The versions of those of its distributions that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for distribution in spec.distributions:
        try:
            versions[distribution] = version(distribution)
        except PackageNotFoundError:  # one of several that may serve, or none is there
            continue
    return versions


def _probe_all(rows: list[dict[str, Any]], registry: Registry) -> None:
    """Add ``"probe"`` to the rows of what is installed: ``"ok"`` or the reason why not."""
    from lmkernel.cli.probe import probe

    for row in rows:
        if row["installed"]:
            print(f"probing {row['name']}", file=sys.stderr)
            row["probe"] = probe(row["name"], registry)


def _warn(registry: Registry) -> None:
    label = paint("warning:", "yellow", sys.stderr)
    for _, error in registry.problems:
        print(f"lmkernel: {label} {' '.join(str(error).split())}", file=sys.stderr)
    if _selected() not in registry.all(BackendSpec):
        text = f"{ENVIRONMENT_VARIABLE} selects {_selected()!r}, which is not registered"
        print(f"lmkernel: {label} {text}", file=sys.stderr)


def _text(rows: list[dict[str, Any]]) -> str:
    cells = [["", "BACKEND", "DEVICES", "DTYPES", "SHAPES", "INSTALLED"]]
    cells += [_cells(row) for row in rows]
    header, *lines = columns(cells).split("\n")
    legend = f"* selected by {ENVIRONMENT_VARIABLE} or by default"
    return "\n".join([paint(header, "bold", sys.stdout), *lines, *_details(rows), legend])


def _cells(row: dict[str, Any]) -> list[str]:
    name = f"{row['name']} (default)" if row["default"] else row["name"]
    shapes = f"compiled, steps of {row['shape_step']}" if row["compiled"] else "any"
    devices, dtypes = " ".join(row["devices"]), " ".join(row["dtypes"])
    return ["*" if row["selected"] else "", name, devices, dtypes, shapes, _state(row)]


def _state(row: dict[str, Any]) -> str:
    if not row["installed"]:
        return paint(f"no; run: {row['install'] or 'see its documentation'}", "dim", sys.stdout)
    versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
    if "probe" not in row:
        return versions or "yes"
    works = row["probe"] == "ok"
    verdict = paint("ok" if works else "broken", "green" if works else "red", sys.stdout)
    return f"{versions or 'yes'}; {verdict}"


def _details(rows: list[dict[str, Any]]) -> list[str]:
    """What is too long for a column: why a backend is broken, and what it lacks, or lacks there."""
    broken = [f"{r['name']} is broken: {r['probe']}" for r in rows if r.get("probe", "ok") != "ok"]
    unsupported = [
        f"{row['name']} does not support {what}: {why}"
        for row in rows
        for what, why in row["unsupported"].items()
    ]
    narrower = [
        f"{row['name']} has on {device}: {' '.join(dtypes)}"
        for row in rows
        for device, dtypes in row["device_dtypes"].items()
    ]
    return broken + unsupported + narrower
