"""The backends that are registered, what is installed of them, and, if asked, what works.

Constraint: unless asked to probe, nothing of a backend is imported; all comes from the specs and
from the metadata of what is installed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.arguments import require_flag, require_known
from lmkernel.errors import LmkernelError
from lmkernel.plugins import BackendSpec, default_registry
from lmkernel.plugins.guard import describe, plugin_code
from lmkernel.plugins.installed import installed_versions
from lmkernel.plugins.registry import DEFAULT_BACKEND, ENVIRONMENT_VARIABLE
from lmkernel.progress import as_progress
from lmkernel.results import Paint, Result, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.progress import ProgressLike

__all__ = ["BackendList", "backends", "selected_backend"]

LEFT, RIGHT, PRODUCT = [[1, 2], [3, 4]], [[5, 6], [7, 8]], [[19, 22], [43, 50]]


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class BackendList(Result):
    """A row for each backend; iterating gives them as objects of plain values.

    Args:
        backends: each with its ``"name"``, ``"devices"``, ``"dtypes"``, ``"installed"`` and more.
    """

    backends: tuple[dict[str, Any], ...]

    @property
    def installed(self) -> list[str]:
        """The names of the installed backends."""
        return [row["name"] for row in self.backends if row["installed"]]

    @property
    def works(self) -> bool:
        """Whether every backend that was probed works."""
        return all(row.get("probe", "ok") == "ok" for row in self.backends)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.backends)

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The backend of a name.

        Raises:
            UnknownNameError: nothing registers it.
        """
        found = {row["name"]: row for row in self.backends}
        require_known("backend", name, found)
        return found[name]

    def __len__(self) -> int:
        return len(self.backends)

    def rows(self) -> list[list[str]]:
        """Its table."""
        return self.rows_in_colour(plain)

    def rows_in_colour(self, paint: Paint) -> list[list[str]]:
        """A row for each backend; its state in colour."""
        header = ["", "BACKEND", "DEVICES", "DTYPES", "SHAPES", "INSTALLED"]
        return [header, *(_cells(row, paint) for row in self.backends)]

    def notes(self) -> list[str]:
        """What is too long for a column: why a backend is broken, and what it lacks."""
        rows = self.backends
        broken = [
            f"{r['name']} is broken: {r['probe']}" for r in rows if r.get("probe", "ok") != "ok"
        ]
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
        legend = f"* selected by {ENVIRONMENT_VARIABLE} or by default"
        return [*broken, *unsupported, *narrower, legend]

    def json(self) -> list[dict[str, Any]]:
        """A list of objects."""
        return [dict(row) for row in self.backends]

    def __repr__(self) -> str:
        return f"BackendList(installed: {', '.join(self.installed)})"


def backends(*, probe: bool = False, progress: ProgressLike = True) -> BackendList:
    """List the backends and what each declares.

    Args:
        probe: whether to load each installed backend and multiply two matrices with it.
        progress: the object told which backend is probed; True reports on standard error.
    """
    require_flag("probe", probe)
    rows = [_row(spec) for spec in default_registry().all(BackendSpec).values()]
    if probe:
        for row in rows:
            if row["installed"]:
                as_progress(progress).say(f"probing {row['name']}")
                row["probe"] = probe_backend(row["name"])
    return BackendList(backends=tuple(rows))


def probe_backend(name: str) -> str:
    """``"ok"`` if a backend multiplies two small matrices, or in one line why not.

    Whatever the backend raises is the reason.
    """
    try:
        with plugin_code(f"backend {name!r}", LmkernelError):
            got = _multiply(name)
    except LmkernelError as error:
        return " ".join(describe(error).split())
    return "ok" if got == PRODUCT else f"expected {LEFT} @ {RIGHT} = {PRODUCT}, got {got}"


def _multiply(name: str) -> object:
    from lmkernel.backend import load_backend

    backend = load_backend(name)
    ops = backend.ops
    with backend.scope():
        product = ops.matmul(ops.asarray(LEFT, "float32"), ops.asarray(RIGHT, "float32"))
        return ops.to_numpy(product).tolist()


def selected_backend() -> str:
    """The name that is selected where none is given."""
    return os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_BACKEND


def _row(spec: BackendSpec) -> dict[str, Any]:
    capabilities = spec.capabilities
    return {
        "name": spec.name,
        "description": spec.description,
        "installed": not spec.missing(),
        "versions": installed_versions(spec.distributions),
        "install": spec.install,
        "devices": list(capabilities.devices),
        "dtypes": list(capabilities.dtypes),
        "device_dtypes": {kind: list(own) for kind, own in capabilities.device_dtypes.items()},
        "compiled": capabilities.compiled,
        "shape_step": capabilities.shape_step,
        "unsupported": dict(capabilities.unsupported),
        "contract": spec.contract,
        "default": spec.name == DEFAULT_BACKEND,
        "selected": spec.name == selected_backend(),
    }


def _cells(row: dict[str, Any], paint: Paint) -> list[str]:
    name = f"{row['name']} (default)" if row["default"] else row["name"]
    shapes = f"compiled, steps of {row['shape_step']}" if row["compiled"] else "any"
    devices, dtypes = " ".join(row["devices"]), " ".join(row["dtypes"])
    return ["*" if row["selected"] else "", name, devices, dtypes, shapes, _state(row, paint)]


def _state(row: dict[str, Any], paint: Paint) -> str:
    if not row["installed"]:
        return paint(f"no; run: {row['install'] or 'see its documentation'}", "dim")
    versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
    if "probe" not in row:
        return versions or "yes"
    works = row["probe"] == "ok"
    return f"{versions or 'yes'}; {paint('ok', 'green') if works else paint('broken', 'red')}"
