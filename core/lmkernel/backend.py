"""A backend, loaded: one framework on one device, with all its operations."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping  # noqa: TC003 - read when fields are checked
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.arguments import is_absent
from lmkernel.composed import assemble
from lmkernel.composed.alone import Alone
from lmkernel.composed.border import with_checked_border
from lmkernel.contract.distribution import Distribution  # noqa: TC001 - read when fields are checked
from lmkernel.contract.fields import check_fields
from lmkernel.contract.mandatory import MandatoryOps  # noqa: TC001 - as before
from lmkernel.errors import CapabilityError, InputError, PluginError, shown
from lmkernel.plugins.registry import Registry, default_registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.contract.capabilities import Capabilities
    from lmkernel.contract.distribution import Mesh, Processes
    from lmkernel.contract.optional import Ops
    from lmkernel.plugins.specs import BackendSpec

__all__ = [
    "Backend",
    "BackendParts",
    "distributed_spec",
    "load_backend",
    "load_distributed",
    "require_present",
]


@final
@dataclass(frozen=True, kw_only=True)
class BackendParts:
    """What a plugin's ``create(device)`` returns.

    Args:
        mandatory: the mandatory tier, bound to the device.
        overrides: optional operations that the backend supplies itself, by name.
        components: whole components that the backend supplies itself, by interface and kind, such
            as ``"attention:multi_head"``.
        scope: what must be entered around operations, such as JAX's 64-bit types; by default
            nothing. It works in any thread, is re-entrant there and undone on exit.
        inference: what is entered besides where no gradient is wanted.
        strict: what is entered besides so that products of float32 are computed in float32: without
            TF32 or passes in bfloat16, where the framework would take them by default.
        native: makes the framework's own object, by kind: ``"module"`` (`torch.nn.Module`),
            ``"keras"`` (`keras.Model`), ``"function"`` (a pure function and its parameters); called
            with a `lmkernel.native.NativeModel` and its host parameters by dotted name.
        distribution: the engine that holds arrays in parts, of what
            `lmkernel.plugins.BackendSpec.distribute` names; None on one process.

    Raises:
        PluginError: a field of another type; the message names it.
    """

    mandatory: MandatoryOps
    overrides: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    components: Mapping[str, type] = field(default_factory=dict)
    scope: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    inference: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    strict: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    native: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    distribution: Distribution | None = None

    def __post_init__(self) -> None:
        check_fields(self, BackendParts, "BackendParts.")


@final
class _Scopes(threading.local):
    """The scopes that each thread has entered and not left yet, innermost last."""

    def __init__(self) -> None:
        self.scopes: list[AbstractContextManager[Any]] = []


@final
@dataclass(frozen=True, kw_only=True)
class Backend:
    """One framework on one device.

    Operations are called inside its scope: ``with backend: backend.ops.matmul(…)``. Entering it
    again inside is allowed, and so is entering it in several threads at once. Methods that take and
    return host arrays enter it by themselves.

    Args:
        name: what it was selected by.
        device: where it computes, such as ``"cuda:1"``.
        capabilities: what it declared.
        ops: its operations.
        components: whole components of its own, by interface and kind.
        scope: makes the context manager that operations need around them.
        inference: what is entered besides where no gradient is wanted.
        strict: what is entered besides so that products of float32 are computed in float32.
        native: what it hands a model over to its framework with, by kind.
        engine: holds arrays in parts over several processes; None on one.
        registry: the plugins among which it was found; kinds and families are looked up there.
    """

    name: str
    device: str
    capabilities: Capabilities
    ops: Ops
    components: Mapping[str, type]
    scope: Callable[[], AbstractContextManager[Any]]
    inference: Callable[[], AbstractContextManager[Any]]
    strict: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    native: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    engine: Distribution | None = None
    registry: Registry = field(default_factory=default_registry, repr=False)
    _entered: _Scopes = field(default_factory=_Scopes, init=False, repr=False, compare=False)

    @property
    def distribution(self) -> Distribution:
        """How arrays lie over processes: whole, where there is one."""
        return self.engine or Alone(self.ops)

    def __enter__(self) -> Self:
        # frameworks' context managers serve once, so each entry makes one and each exit takes the
        # latest of its own thread
        scope = self.scope()
        scope.__enter__()
        self._entered.scopes.append(scope)
        return self

    def __exit__(self, *error: object) -> None:
        self._entered.scopes.pop().__exit__(*error)  # type: ignore[arg-type]  # the three that Python hands over


def load_backend(
    name: str | None = None, *, device: str | None = None, registry: Registry | None = None
) -> Backend:
    """Load a backend by name: the argument, then ``LMKERNEL_BACKEND``, then the default.

    Args:
        name: what it is registered under.
        device: a declared kind, with an optional index: ``"cpu"``, ``"cuda:1"``.
        registry: where to look; by default all that is installed.

    Raises:
        UnknownNameError, MissingDependencyError, PluginError.
        CapabilityError: the backend does not declare the device, or the device is not there.
        InputError: what is passed as a name or a registry is none.
    """
    found = default_registry() if registry is None else registry
    if not isinstance(found, Registry):
        raise InputError(f"registry: expected a Registry, got {shown(found)}")
    spec = found.select_backend(name)
    wanted = spec.capabilities.devices[0] if device is None or is_absent(device) else device
    chosen = spec.capabilities.require_device(spec.name, wanted)
    return _assembled(spec, chosen, spec.create(chosen), found)


def load_distributed(
    name: str | None,
    mesh: Mesh,
    processes: Processes,
    *,
    device: str | None = None,
) -> Backend:
    """Load a backend on a mesh of several processes, of which each calls this.

    Args:
        name: what it is registered under.
        mesh: how processes, or devices, are arranged.
        processes: which one this is.
        device: a declared kind; an engine chooses the index.

    Raises:
        CapabilityError: the backend, or its device, has no such tier.
        RunError: the others do not come.
    """
    spec = distributed_spec(name, processes)
    wanted = device or spec.capabilities.devices[0]
    chosen = spec.capabilities.require_device(spec.name, wanted)
    parts = spec.create_distributed(chosen, mesh, processes)
    if not issubclass(type(parts), BackendParts) or parts.distribution is None:
        raise PluginError(
            f"backend {spec.name!r}: expected BackendParts with a distribution from "
            f"{spec.distribute}, got {type(parts).__name__}"
        )
    return _assembled(spec, chosen, parts, default_registry())


def distributed_spec(name: str | None, processes: Processes) -> BackendSpec:
    """The backend of a name, without importing it.

    Raises:
        CapabilityError: it has no tier of distribution.
    """
    spec = default_registry().select_backend(name)
    if not spec.distribute:
        by = f" by {processes.found}" if processes.found else ""
        raise CapabilityError(
            f"backend {spec.name!r}: expected one process and no mesh, for it has no tier of "
            f"distribution; got {processes.count} process{'es' * (processes.count > 1)}{by}"
        )
    return spec


def _assembled(spec: BackendSpec, device: str, parts: BackendParts, registry: Registry) -> Backend:
    if not issubclass(type(parts), BackendParts):  # what it says of its class is its own code
        raise PluginError(
            f"backend {spec.name!r}: expected {spec.load} to return BackendParts, "
            f"got {type(parts).__name__}"
        )
    return Backend(
        name=spec.name,
        device=device,
        capabilities=spec.capabilities,
        ops=assemble(
            with_checked_border(parts.mandatory, spec.name),
            parts.overrides,
            spec.capabilities.unsupported,
        ),
        components=parts.components,
        scope=parts.scope,
        inference=parts.inference,
        strict=parts.strict,
        native=parts.native,
        engine=parts.distribution,
        registry=registry,
    )


def require_present(
    backend: str, device: str, kinds: Sequence[str], count: Callable[[str], int]
) -> int:
    """Return the index of a device that is there; a backend calls this before it uses the device.

    Args:
        backend: the name of the backend, for the message.
        device: a kind, with an optional index; without one, the first of its kind.
        kinds: the kinds of device that the backend can use.
        count: asks the framework how many devices of a kind it can reach. It is called for other
            kinds than the one asked for only when that one is not there, since asking may be slow.

    Raises:
        CapabilityError: the device is not there; the message says which ones are.
    """
    kind, _, index = device.partition(":")
    same = count(kind) if kind in kinds else 0
    if (index or "0") in map(str, range(same)):
        return int(index or 0)
    counts = {each: count(each) for each in kinds}
    # how many there are matters only to those who asked for one too many
    there = [f"{each} ({n})" if same else each for each, n in counts.items() if n]
    raise CapabilityError(
        f"backend {backend!r}: expected a device that is there, got {device!r}; "
        f"this build/machine has: {', '.join(there) or 'none'}"
    )
