"""What plugins register: frozen, light, importing nothing until asked.

Every spec has a ``name`` and a ``load`` of the form ``"package.module:attribute"``; `resolve`
imports it. A spec that is malformed raises at construction, so the plugin at fault is named.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from lmkernel.errors import PluginError

if TYPE_CHECKING:
    from lmkernel.contract.capabilities import Capabilities

__all__ = [
    "BackendSpec",
    "CommandSpec",
    "ComponentSpec",
    "FamilySpec",
    "OptimizerSpec",
    "SourceSpec",
    "Spec",
    "TrackerSpec",
]

Interface = Literal["embedding", "encoder", "decoder", "attention", "loss", "trainer"]
INTERFACES: tuple[Interface, ...] = get_args(Interface)


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
        module, _, attribute = self.load.partition(":")
        if not (self.name and module and attribute.isidentifier()):
            raise PluginError(
                f"{self.what} {self.name!r}: expected a name and load='package.module:attribute', "
                f"got load={self.load!r}"
            )

    @property
    def key(self) -> str:
        """What must be unique among the specs of this class."""
        return self.name

    def resolve(self) -> Any:
        """Import and return what `load` names."""
        return _import_attribute(self, self.load)


def _import_attribute(spec: Spec, where: str) -> Any:
    module, _, attribute = where.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever a plugin's module does wrong is the plugin's
        raise PluginError(
            f"{spec.what} {spec.name!r} cannot be loaded from {where!r}: "
            f"{type(error).__name__}: {error}"
        ) from error


@dataclass(frozen=True, kw_only=True)
class BackendSpec(Spec):
    """A backend: ``load`` names ``create(device: str | None) -> BackendParts``.

    Args:
        requires: modules that must be importable, such as ``("torch",)``.
        distributions: distributions whose version ``lmkernel backends`` shows.
        install: the command that installs what is missing.
        capabilities: what the backend declares; known without importing it.
        native: what its framework can take a model over as, among `lmkernel.native.KINDS`: the
            keys of `BackendParts.native`.
    """

    what: ClassVar[str] = "backend"

    capabilities: Capabilities
    requires: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()
    install: str = ""
    description: str = ""
    native: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ComponentSpec(Spec):
    """Another kind of one of the six interfaces: ``load`` names its class.

    Args:
        interface: one of embedding, encoder, decoder, attention, loss, trainer.
    """

    what: ClassVar[str] = "component"

    interface: Interface

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interface not in INTERFACES:
            raise PluginError(
                f"component {self.name!r}: expected an interface among {', '.join(INTERFACES)}, "
                f"got {self.interface!r}"
            )

    @property
    def key(self) -> str:
        """The interface and the kind, such as ``"attention:alibi"``."""
        return f"{self.interface}:{self.name}"


@dataclass(frozen=True, kw_only=True)
class FamilySpec(Spec):
    """A model family: ``load`` names a `lmkernel.families.Family`; name is the ``model_type``."""

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


@dataclass(frozen=True, kw_only=True)
class CommandSpec(Spec):
    """A command: ``load`` names a `lmkernel.cli.command.Command`.

    Args:
        help: one line.
        call: the function that the command is the skin of, ``"package.module:function"``, for
            those who call it from Python; empty if there is none.
    """

    what: ClassVar[str] = "command"

    help: str
    call: str = ""

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
