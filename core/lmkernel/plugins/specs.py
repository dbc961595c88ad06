"""What plugins register: frozen, light, importing nothing until asked.

Every spec has a ``name`` and a ``load`` of the form ``"package.module:attribute"``; `resolve`
imports it, `create` calls it. A spec that is malformed raises at construction: the type of each
field is checked against its annotation, and the error names the spec and the field.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from lmkernel.contract.capabilities import Capabilities  # noqa: TC001 - read when fields are checked
from lmkernel.contract.fields import check_fields
from lmkernel.errors import LmkernelError, PluginError, shown
from lmkernel.plugins.guard import plugin_code
from lmkernel.plugins.process import kept_process

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = [
    "BackendSpec",
    "CommandSpec",
    "ComponentSpec",
    "FamilySpec",
    "OptimizerSpec",
    "SourceSpec",
    "Spec",
    "SubjectSpec",
    "TrackerSpec",
]

Interface = Literal["embedding", "encoder", "decoder", "attention", "loss", "trainer"]
LONGEST = 100
"""Characters of a name or a version, which stand in lists and messages."""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """Common to everything that a plugin registers.

    Args:
        name: the name that selects it.
        load: ``"package.module:attribute"``, imported when the name is selected.
        contract: the version of the contract that it was built for, ``"major.minor"``: write the
            number, not the core's constant, else it could never be found too old.
    """

    what: ClassVar[str] = "plugin"

    name: str
    load: str
    contract: str

    def __post_init__(self) -> None:
        own = next(kind for kind in type(self).__mro__ if kind.__module__ == __name__)
        check_fields(self, own, f"{own.what} {shown(self.name)}: ")  # type: ignore[attr-defined]  # each of this module has it
        if not _is_name(self.name):
            self._refuse(
                "name", f"at most {LONGEST} printable characters, no hyphen first", self.name
            )
        if len(self.contract) > LONGEST:
            self._refuse("contract", "'major.minor'", self.contract)
        if not _is_place(self.load):
            self._refuse("load", "'package.module:attribute'", self.load)

    def _refuse(self, name: str, expected: str, got: object) -> None:
        spec = f"{self.what} {shown(self.name)}"
        raise PluginError(f"{spec}: {name}: expected {expected}, got {shown(got)}")

    def _require_lines(self, name: str, *texts: str) -> None:
        """Refuse what would spoil a list on a terminal."""
        for text in texts:
            if not text.isprintable():
                self._refuse(name, "one line of printable text", text)

    @property
    def key(self) -> str:
        """What must be unique among the specs of this class."""
        return self.name

    def resolve(self) -> Any:
        """Import and return what `load` names.

        Raises:
            PluginError: it cannot be imported, whatever its module does.
        """
        return _import_attribute(self, self.load)

    def create(self, *arguments: Any) -> Any:
        """Import what `load` names, and call it.

        Raises:
            LmkernelError: what it raises on purpose, as it is.
            PluginError: it cannot be imported, or it raises anything else.
        """
        return self._call(self.load, *arguments)

    def _call(self, where: str, *arguments: Any) -> Any:
        made, what = _import_attribute(self, where), f"{self.what} {self.name!r}, {where}"
        with plugin_code(what, LmkernelError), _loading(self):
            try:
                return made(*arguments)
            except PluginError as error:  # of what it makes, which does not know the name
                raise PluginError(f"{what}: {error}") from error


def _is_name(text: str) -> bool:
    whole = text.isprintable() and text == text.strip() and not text.startswith("-")
    return whole and 0 < len(text) <= LONGEST


def _is_place(text: str) -> bool:
    module, _, attribute = text.partition(":")
    return bool(module) and attribute.isidentifier()


def _import_attribute(spec: Spec, where: str) -> Any:
    module, _, attribute = where.partition(":")
    told = f"{spec.what} {spec.name!r} cannot be loaded from {where!r}"
    with plugin_code(told), _loading(spec):
        return getattr(importlib.import_module(module), attribute)


def _loading(spec: Spec) -> AbstractContextManager[None]:
    """A block in which a plugin's code is loaded or made, which changes nothing of the process."""
    tell = functools.partial(warnings.warn, stacklevel=2)
    return kept_process(f"{spec.what} {spec.name!r}", tell)


@dataclass(frozen=True, kw_only=True)
class BackendSpec(Spec):
    """A backend: ``load`` names ``create(device: str) -> BackendParts``.

    Args:
        requires: modules that must be importable, such as ``("torch",)``.
        distributions: distributions whose version ``lmkernel backends`` shows.
        install: the command that installs what is missing.
        capabilities: what the backend declares; known without importing it.
        native: what its framework can take a model over as, among `lmkernel.native.KINDS`: the
            keys of `BackendParts.native`.
        distribute: names ``distribute(device, mesh, processes) -> BackendParts``, which joins the
            processes of a run by the framework's own engine; empty where there is none.
    """

    what: ClassVar[str] = "backend"

    capabilities: Capabilities
    requires: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()
    install: str = ""
    description: str = ""
    native: tuple[str, ...] = ()
    distribute: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.distribute and not _is_place(self.distribute):
            self._refuse("distribute", "'package.module:attribute'", self.distribute)
        for module in self.requires:
            if not all(part.isidentifier() for part in module.split(".")):
                self._refuse("requires", "names of modules", module)
        if "" in self.distributions:
            self._refuse("distributions", "names of distributions", "")
        self._require_lines("description", self.description)
        self._require_lines("install", self.install)

    def missing(self) -> tuple[str, ...]:
        """Those of the modules that it requires which are not installed."""
        return _missing(self.requires)

    def create_distributed(self, *arguments: Any) -> Any:
        """Import what `distribute` names, and call it; raises as `create` does."""
        return self._call(self.distribute, *arguments)


def _missing(requires: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(module for module in requires if not _is_installed(module))


def _is_installed(module: str) -> bool:
    # to find a submodule its parent is imported, which may be missing, or do anything
    try:
        with plugin_code(module):
            return importlib.util.find_spec(module) is not None
    except PluginError:
        return False


@dataclass(frozen=True, kw_only=True)
class ComponentSpec(Spec):
    """Another kind of one of the six interfaces: ``load`` names its class.

    Args:
        interface: one of embedding, encoder, decoder, attention, loss, trainer.
    """

    what: ClassVar[str] = "component"

    interface: Interface

    @property
    def key(self) -> str:
        """The interface and the kind, such as ``"attention:alibi"``."""
        return f"{self.interface}:{self.name}"


@dataclass(frozen=True, kw_only=True)
class FamilySpec(Spec):
    """A model family, by its ``model_type``: ``load`` names a `lmkernel.families.family.Family`."""

    what: ClassVar[str] = "model family"


@dataclass(frozen=True, kw_only=True)
class SourceSpec(Spec):
    """A source of models: ``load`` names a `lmkernel.sources.Source`, or what returns one.

    Args:
        models: the names that it serves, each with a line of description.
        prefix: the prefix that it serves, such as ``"hf:"``, or empty.
    """

    what: ClassVar[str] = "model source"

    models: dict[str, str] = field(default_factory=dict)
    prefix: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_lines("models", *self.models, *self.models.values())
        self._require_lines("prefix", self.prefix)


@dataclass(frozen=True, kw_only=True)
class CommandSpec(Spec):
    """A command: ``load`` names a `lmkernel.cli.Command`.

    Args:
        help: one line.
        call: the function that the command is the skin of, ``"package.module:function"``, for
            those who call it from Python; empty if there is none.
    """

    what: ClassVar[str] = "command"

    help: str
    call: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.help.isprintable() or "%(" in self.help:  # which argparse would fill in
            self._refuse("help", "one line of printable text without '%('", self.help)
        if self.call and not _is_place(self.call):
            self._refuse("call", "'package.module:function' or nothing", self.call)

    def verb(self) -> Any:
        """Import and return what ``call`` names; `PluginError` if it names nothing."""
        return _import_attribute(self, self.call)


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec(Spec):
    """An optimizer: ``load`` names a `lmkernel.training.optimizers.Optimizer`."""

    what: ClassVar[str] = "optimizer"


@dataclass(frozen=True, kw_only=True)
class TrackerSpec(Spec):
    """A tracker of runs: ``load`` names a `lmkernel.training.trackers.Tracker`."""

    what: ClassVar[str] = "tracker"


@dataclass(frozen=True, kw_only=True)
class SubjectSpec(Spec):
    """A subject of ``lmkernel verify``: ``load`` names what makes a `Subject` of an `Opening`.

    Args:
        help: one line, for lists.
        capabilities: what it may be able to do, among `lmkernel.verification.CAPABILITIES`.
        requires: modules that must be importable.
        install: the command that installs what is missing.
    """

    what: ClassVar[str] = "subject"

    help: str
    capabilities: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    install: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_lines("help", self.help)
        self._require_lines("install", self.install)

    def missing(self) -> tuple[str, ...]:
        """Those of the modules that it requires which are not installed."""
        return _missing(self.requires)
