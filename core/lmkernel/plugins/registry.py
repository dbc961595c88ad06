"""The registry: finds what plugins register, by name, over pluggy.

Constraints: no plugin takes another down. One that breaks on import, repeats a name or speaks
another version of the contract becomes a `problem` with its name, and everything else goes on.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar, final

import pluggy

from lmkernel.contract.version import check_contract
from lmkernel.errors import (
    ContractVersionError,
    DuplicateNameError,
    LmkernelError,
    MissingDependencyError,
    PluginError,
    UnknownNameError,
)
from lmkernel.plugins import hookspecs
from lmkernel.plugins.specs import (
    BackendSpec,
    CommandSpec,
    ComponentSpec,
    FamilySpec,
    OptimizerSpec,
    SourceSpec,
    Spec,
    TrackerSpec,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["DEFAULT_BACKEND", "ENTRY_POINT_GROUP", "ENVIRONMENT_VARIABLE", "HOOKS", "Registry"]

ENTRY_POINT_GROUP = "lmkernel"
ENVIRONMENT_VARIABLE = "LMKERNEL_BACKEND"
DEFAULT_BACKEND = "numpy"

_S = TypeVar("_S", bound=Spec)
HOOKS: Mapping[type[Spec], str] = MappingProxyType(
    {
        BackendSpec: "lmkernel_register_backends",
        ComponentSpec: "lmkernel_register_components",
        FamilySpec: "lmkernel_register_families",
        SourceSpec: "lmkernel_register_sources",
        CommandSpec: "lmkernel_register_commands",
        OptimizerSpec: "lmkernel_register_optimizers",
        TrackerSpec: "lmkernel_register_trackers",
    }
)
"""The hook that registers each kind of specification."""


@final
class Registry:
    """Plugins and what they register.

    Args:
        plugins: modules or objects with hook implementations, by name; by default every entry
            point in the group ``lmkernel``.
    """

    def __init__(self, plugins: Mapping[str, object] | None = None) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._problems: dict[str, list[LmkernelError]] = {}
        self._tables: dict[type[Spec], dict[str, Spec]] = {}
        for name, plugin in _entry_points(self._report) if plugins is None else plugins.items():
            self.register(name, plugin)

    def register(self, name: str, plugin: object) -> None:
        """Add one plugin; what is wrong with it is kept in `problems`."""
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except Exception as error:  # noqa: BLE001 - a plugin's fault must not reach the others
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            self._report(name, PluginError(f"plugin {name!r} is malformed: {error}"))
        self._tables.clear()

    @contextmanager
    def use(self) -> Iterator[Self]:
        """Have this registry in use inside the block, in this thread or task."""
        token = _IN_USE.set(self)
        try:
            yield self
        finally:
            _IN_USE.reset(token)

    @property
    def problems(self) -> list[tuple[str, LmkernelError]]:
        """Every fault found so far, as (plugin, error); asks each hook once."""
        for kind in HOOKS:
            self.all(kind)
        return [(name, error) for name, errors in self._problems.items() for error in errors]

    def all(self, kind: type[_S]) -> dict[str, _S]:
        """Everything registered of one kind of spec, by key."""
        if kind not in self._tables:
            self._tables[kind] = dict(self._collect(kind))
        return self._tables[kind]  # type: ignore[return-value]  # the table of a kind holds it

    def get(self, kind: type[_S], key: str) -> _S:
        """The spec with this key, or `UnknownNameError` with the closest name."""
        table = self.all(kind)
        if key not in table:
            raise UnknownNameError(kind.what, key, table) from self._fault_of(key)
        return table[key]

    def component(self, interface: str, kind: str) -> ComponentSpec:
        """The spec of one kind of one interface."""
        known = {s.name: s for s in self.all(ComponentSpec).values() if s.interface == interface}
        if kind not in known:
            raise UnknownNameError(f"kind of {interface}", kind, known)
        return known[kind]

    def select_backend(self, name: str | None = None) -> BackendSpec:
        """The backend asked for: argument, then ``LMKERNEL_BACKEND``, then the default."""
        chosen = name or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_BACKEND
        spec = self.get(BackendSpec, chosen)
        missing = [module for module in spec.requires if importlib.util.find_spec(module) is None]
        if missing:
            raise MissingDependencyError(
                f"backend {spec.name!r} needs {', '.join(missing)}, which is not installed; "
                f"run: {spec.install or 'see the documentation of its plugin'}"
            )
        return spec

    def _collect(self, kind: type[_S]) -> Iterator[tuple[str, _S]]:
        owners: dict[str, str] = {}
        for implementation in getattr(self._manager.hook, HOOKS[kind]).get_hookimpls():
            plugin = implementation.plugin_name
            for spec in self._ask(plugin, implementation.function, kind):
                if spec.key in owners:
                    first = owners[spec.key]
                    self._report(plugin, DuplicateNameError(kind.what, spec.key, first, plugin))
                    continue
                owners[spec.key] = plugin
                yield spec.key, spec

    def _ask(self, plugin: str, hook: Any, kind: type[_S]) -> Iterable[_S]:
        """Call one plugin's hook; leave out what cannot be served, and say why."""
        try:
            specs = list(hook())
            for spec in specs:
                if not isinstance(spec, kind):
                    raise PluginError(f"expected {kind.__name__}, got {type(spec).__name__}")  # noqa: TRY301 - reported below with all other faults of the hook
        except Exception as error:  # noqa: BLE001 - a plugin's fault must not reach the others
            self._report(plugin, PluginError(f"plugin {plugin!r}, {HOOKS[kind]}: {error}"))
            return []
        return [spec for spec in specs if self._is_served(plugin, spec)]

    def _is_served(self, plugin: str, spec: Spec) -> bool:
        try:
            check_contract(f"plugin {plugin!r}, {spec.what} {spec.name!r}", spec.contract)
        except ContractVersionError as error:
            self._report(plugin, error)
            return False
        return True

    def _report(self, plugin: str, error: LmkernelError) -> None:
        known = self._problems.setdefault(plugin, [])
        if str(error) not in map(str, known):
            known.append(error)

    def _fault_of(self, key: str) -> LmkernelError | None:
        """The fault of the plugin that would have served this key, if one is on record."""
        for plugin, errors in self._problems.items():
            for error in errors:
                if plugin == key or f"{key!r}" in str(error):
                    return error
        return None


def _entry_points(report: Any) -> Iterator[tuple[str, object]]:
    """Load each entry point by itself: pluggy's own loader stops at the first that breaks."""
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        try:
            yield point.name, point.load()
        except Exception as error:  # noqa: BLE001 - a plugin's fault must not reach the others
            text = f"plugin {point.name!r} cannot be imported: {type(error).__name__}: {error}"
            report(point.name, PluginError(text))


_IN_USE: ContextVar[Registry | None] = ContextVar("lmkernel_registry", default=None)


def default_registry() -> Registry:
    """The registry in use: that of what is installed, unless another one is (`Registry.use`)."""
    return _IN_USE.get() or _installed_registry()


@functools.cache
def _installed_registry() -> Registry:
    """Made once for the process."""
    return Registry()
