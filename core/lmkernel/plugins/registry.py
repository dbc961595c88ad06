"""The registry: finds what plugins register, by name, over pluggy.

Constraints: no plugin takes another down. One that breaks on import, repeats a name or speaks
another version of the contract becomes a `problem` with its name, and everything else goes on.
What came first keeps its name, and what is built in comes first.
"""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar, final

import pluggy

from lmkernel.arguments import is_absent
from lmkernel.contract.fields import check_fields
from lmkernel.contract.version import check_contract
from lmkernel.errors import (
    ContractVersionError,
    DuplicateNameError,
    InputError,
    LmkernelError,
    MissingDependencyError,
    PluginError,
    UnknownNameError,
    shown,
)
from lmkernel.plugins import hookspecs
from lmkernel.plugins.guard import plugin_code
from lmkernel.plugins.installed import installed_plugins
from lmkernel.plugins.process import kept_process
from lmkernel.plugins.specs import (
    BackendSpec,
    CommandSpec,
    ComponentSpec,
    FamilySpec,
    OptimizerSpec,
    SourceSpec,
    Spec,
    SubjectSpec,
    TrackerSpec,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["DEFAULT_BACKEND", "ENVIRONMENT_VARIABLE", "HOOKS", "Registry", "tell_faults"]

ENVIRONMENT_VARIABLE = "LMKERNEL_BACKEND"
DEFAULT_BACKEND = "numpy"
MOST_SPECS = 10_000
"""What one hook may return, since an iterator need not end."""

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
        SubjectSpec: "lmkernel_register_subjects",
    }
)
"""The hook that registers each kind of specification."""


@final
class Registry:
    """Plugins and what they register.

    Args:
        plugins: modules or objects with hook implementations, by name; by default every entry
            point in the group ``lmkernel``, our own first. Of two that register a name the first
            has it.
    """

    def __init__(self, plugins: Mapping[str, object] | None = None) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._problems: dict[str, list[LmkernelError]] = {}
        self._tables: dict[type[Spec], dict[str, Spec]] = {}
        found = installed_plugins(self._report) if plugins is None else plugins.items()
        for name, plugin in found:
            self.register(name, plugin)

    def register(self, name: str, plugin: object) -> None:
        """Add one plugin; what is wrong with it is kept in `problems`."""
        if self._manager.has_plugin(name):
            self._report(name, PluginError(f"plugin {name!r}: the name of another; it is ignored"))
            return
        try:
            with plugin_code(f"plugin {name!r} is malformed"):
                self._manager.register(_Implementations(name, plugin, self._manager), name)
                self._manager.check_pending()
        except PluginError as error:
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            self._report(name, error)
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
        if not isinstance(key, str):
            raise InputError(f"{kind.what}: expected a name, got {shown(key)}")
        table = self.all(kind)
        if key not in table:
            fault = self._fault_of(key)
            raise UnknownNameError(kind.what, key, table, fault) from fault
        return table[key]

    def component(self, interface: str, kind: str) -> ComponentSpec:
        """The spec of one kind of one interface."""
        known = {s.name: s for s in self.all(ComponentSpec).values() if s.interface == interface}
        if kind not in known:
            raise UnknownNameError(f"kind of {interface}", kind, known)
        return known[kind]

    def select_backend(self, name: str | None = None) -> BackendSpec:
        """The backend asked for: argument, then ``LMKERNEL_BACKEND``, then the default."""
        usual = os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_BACKEND
        chosen = usual if name is None or is_absent(name) else name
        try:
            spec = self.get(BackendSpec, chosen)
        except UnknownNameError as error:
            if chosen is name:
                raise
            # a name that nobody typed is hard to find, so the message says where it stands
            what = f"backend in {ENVIRONMENT_VARIABLE}"
            raise UnknownNameError(what, chosen, error.known, error.fault) from error
        if missing := spec.missing():
            raise MissingDependencyError(
                f"backend {spec.name!r} needs {', '.join(missing)}, which is not installed; "
                f"run: {spec.install or 'see the documentation of its plugin'}"
            )
        return spec

    def _collect(self, kind: type[_S]) -> Iterator[tuple[str, _S]]:
        owners: dict[str, str] = {}
        # pluggy lets a plugin say that it be called first or last, which must not decide a name
        order = [name for name, _ in self._manager.list_name_plugin()]
        hooks = getattr(self._manager.hook, HOOKS[kind]).get_hookimpls()
        for hook in sorted(hooks, key=lambda hook: order.index(hook.plugin_name)):
            plugin = hook.plugin_name
            for key, spec in self._ask(plugin, hook.function, kind):
                if key in owners:
                    error = DuplicateNameError(kind.what, key, owners[key], plugin)
                    self._report(plugin, error)
                    continue
                owners[key] = plugin
                yield key, spec

    def _ask(self, plugin: str, hook: Any, kind: type[_S]) -> Iterator[tuple[str, _S]]:
        """Call one plugin's hook; leave out what cannot be served, and say why."""
        what = f"plugin {plugin!r}, {HOOKS[kind]}"
        try:
            with (
                plugin_code(what),
                kept_process(what, lambda text: self._report(plugin, PluginError(text))),
            ):
                specs = _specs_of(hook)
        except PluginError as error:
            self._report(plugin, error)
            return
        for spec in specs:
            try:
                with plugin_code(what, ContractVersionError):
                    served = _check_spec(plugin, spec, kind)
            except PluginError as error:
                self._report(plugin, error)
            else:
                yield served

    def _report(self, plugin: str, error: LmkernelError) -> None:
        known = self._problems.setdefault(plugin, [])
        if str(error) not in map(str, known):
            known.append(error)
            _TELL.get()(error)

    def _fault_of(self, key: str) -> LmkernelError | None:
        """The fault of the plugin that would have served this key, if one is on record."""
        for plugin, errors in self._problems.items():
            for error in errors:
                if plugin == key or f"{key!r}" in str(error):
                    return error
        return None


def _specs_of(hook: Any) -> list[Any]:
    specs = list(islice(hook(), MOST_SPECS + 1))
    if len(specs) > MOST_SPECS:
        raise PluginError(f"expected at most {MOST_SPECS} specifications, got more")
    return specs


def _check_spec(plugin: str, spec: Any, kind: type[_S]) -> tuple[str, _S]:
    """A specification with its key; it may be of a subclass that checked nothing of itself."""
    if not issubclass(type(spec), kind):
        raise PluginError(f"expected {kind.__name__}, got {type(spec).__name__}")
    check_fields(spec, kind, f"{kind.what}: ")
    check_contract(f"plugin {plugin!r}, {kind.what} {spec.name!r}", spec.contract)
    key = spec.key
    if not isinstance(key, str):
        raise PluginError(f"{kind.what} {spec.name!r}: key: expected str, got {type(key).__name__}")
    return key, spec


@final
class _Implementations:
    """The hooks that a plugin implements; pluggy compares, prints and searches no more of it."""

    def __init__(self, name: str, plugin: object, manager: pluggy.PluginManager) -> None:
        self._name = name
        for attribute in dir(plugin):
            if manager.parse_hookimpl_opts(plugin, attribute) is not None:
                setattr(self, attribute, getattr(plugin, attribute))

    def __repr__(self) -> str:
        return repr(self._name)


_IN_USE: ContextVar[Registry | None] = ContextVar("lmkernel_registry", default=None)
_TELL: ContextVar[Callable[[LmkernelError], object]] = ContextVar(
    "lmkernel_faults", default=lambda _: None
)


@contextmanager
def tell_faults(tell: Callable[[LmkernelError], object]) -> Iterator[None]:
    """Tell of each fault of a plugin in use that is known, and inside the block of others as found.

    Args:
        tell: called with each in this thread or task.
    """
    for errors in list(default_registry()._problems.values()):  # noqa: SLF001 - of this file's own class
        for error in errors:
            tell(error)
    token = _TELL.set(tell)
    try:
        yield
    finally:
        _TELL.reset(token)


def default_registry() -> Registry:
    """The registry in use: that of what is installed, unless another one is (`Registry.use`)."""
    return _IN_USE.get() or _installed_registry()


@functools.cache
def _installed_registry() -> Registry:
    """Made once for the process."""
    return Registry()
