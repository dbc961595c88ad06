"""The surface of the contract: each name that a plugin may import, with its signature, one a line.

``docs/contract/VERSION.txt`` keeps the surface of each version, and is never changed once it is
released; a test compares the newest with the code. ``python docs/contract_surface.py`` writes the
file of a version that has none yet.
"""
# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from functools import cached_property
from pathlib import Path
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.contract.version import CONTRACT_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["FOLDER", "SURFACE", "broken_promises", "member_lines", "surface"]

FOLDER = Path(__file__).parent / "contract"
SURFACE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "lmkernel.contract.blocks": (),
        "lmkernel.contract.capabilities": (),
        "lmkernel.contract.distribution": (),
        "lmkernel.contract.mandatory": (),
        "lmkernel.contract.optional": (),
        "lmkernel.contract.trees": (),
        "lmkernel.interfaces": (),
        "lmkernel.config": (),
        "lmkernel.config.check": ("frozen_options", "require"),
        "lmkernel.backend": (),
        "lmkernel.components.attention": ("MultiHeadAttention",),
        "lmkernel.checkpoints.tensors": ("Tensors",),
        "lmkernel.composed": ("assemble",),
        "lmkernel.composed.precision": (),
        "lmkernel.errors": (),
        "lmkernel.plugins": (),
        "lmkernel.plugins.hookspecs": (),
        "lmkernel.factory": ("ComponentFactory",),
        "lmkernel.families.config_keys": ("ConfigKeys",),
        "lmkernel.families.family": ("ACTIVATIONS", "Family", "HfConfig"),
        "lmkernel.families.gated": (
            "GATED_KEYS",
            "LAYER",
            "RULES",
            "GatedFamily",
            "Traits",
            "with_changes",
            "read_gated",
            "write_gated",
        ),
        "lmkernel.families.names": ("Rule",),
        "lmkernel.families.sizes": ("Sizes",),
        "lmkernel.families.gguf_architecture": ("GgufArchitecture",),
        "lmkernel.native": ("KEY_WORD", "KINDS", "NativeModel", "positions_from_mask"),
        "lmkernel.sources": (),
        "lmkernel.cli": (),
        "lmkernel.training.config": ("OptimizerConfig",),
        "lmkernel.training.data": ("Batch", "Batches"),
        "lmkernel.training.optimizers": ("Optimizer", "decayed"),
        "lmkernel.training.trackers": (),
        "lmkernel.verification.sequences": (),
        "lmkernel.verification.subject": (),
        "lmkernel_conformance.next_steps": ("Step", "describe_steps", "next_steps"),
    }
)
"""All that a plugin may import: modules, with the names of each; all of ``__all__`` if none."""
_COMPOSED = "lmkernel.contract.optional.OptionalOps."
_PLAIN = (bool, int, float, str, tuple, dict, frozenset, MappingProxyType)
_ABSTRACT, _REQUIRED = " [abstract]", " [required]"


def surface() -> list[str]:
    """A line for each name of each module, in the order of the alphabet."""
    return sorted({line for name, own in SURFACE.items() for line in _module(name, own)})


def _module(name: str, own: Sequence[str]) -> Iterator[str]:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", None) or [n for n in vars(module) if _is_hook(n)]
    for member in own or exported:
        yield from member_lines(f"{name}.{member}", getattr(module, member))


def _is_hook(name: str) -> bool:
    return name.startswith("lmkernel_register_")


def member_lines(path: str, value: Any) -> Iterator[str]:
    """The lines of one name: a function's signature; a class, its fields and its methods."""
    if value is Any:
        yield f"{path} = Any"
    elif inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"{path}({bases})"
        yield from _fields(path, value)
        yield from _methods(path, value)
    elif isinstance(value, FunctionType):
        yield f"{path}{_signature(value)}"
    elif isinstance(value, _PLAIN):
        shown = dict(value) if isinstance(value, MappingProxyType) else value
        yield f"{path} = {shown!r}"
    else:
        yield path


def _fields(path: str, value: type) -> Iterator[str]:
    for field in dataclasses.fields(value) if dataclasses.is_dataclass(value) else ():
        if field.name.startswith("_"):
            continue
        yield f"{path}.{field.name}: {field.type}{_default(field)}"


def _signature(function: FunctionType) -> str:
    """Annotations are strings, and shown without their quotes."""
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(function)))


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return f" = {getattr(field.default, '__name__', repr(field.default))}"
    if field.default_factory is not dataclasses.MISSING:
        return f" = {getattr(field.default_factory, '__name__', 'made')}()"
    return _REQUIRED


def _methods(path: str, value: type) -> Iterator[str]:
    """Those that the class defines itself, and calls."""
    abstract: frozenset[str] = getattr(value, "__abstractmethods__", frozenset())
    for name, member in vars(value).items():
        if name.startswith("_") and name != "__call__":
            continue
        mark = _ABSTRACT if name in abstract else ""
        function = getattr(member, "__func__", member)
        if isinstance(member, property | cached_property):
            yield f"{path}.{name}: {_returned(member)}{mark}"
        elif isinstance(function, FunctionType):
            yield f"{path}.{name}{_signature(function)}{mark}"


def _returned(member: property | cached_property[Any]) -> str:
    getter = member.fget if isinstance(member, property) else member.func
    return str(getattr(getter, "__annotations__", {}).get("return", "Any"))


def broken_promises(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """What a minor version must not do: remove or change a line, or ask more of what exists.

    A new operation with a composed default, a new field with a default, a new name of a module are
    additions, as is a default of a field that had none; a new abstract method of a class that was
    there, or a new required field, is not.
    """
    before, classes = set(old), {line.partition("(")[0] for line in old}
    # a name alone, as of a cached function, keeps its promise when its signature is written down
    there = set(new) | {line.partition("(")[0] for line in new}
    there |= {line.partition(" = ")[0] + _REQUIRED for line in new}
    told = [f"removed or changed: {line}" for line in old if line not in there]
    for line in new:
        owner = line.partition("(")[0].partition(":")[0].rpartition(".")[0]
        asks = line.endswith((_ABSTRACT, _REQUIRED)) and not line.startswith(_COMPOSED)
        if line not in before and owner in classes and asks:
            told.append(f"asks more of {owner}: {line}")
    return told


if __name__ == "__main__":
    place = FOLDER / f"{CONTRACT_VERSION}.txt"
    with place.open("x", encoding="utf-8") as file:
        file.write("\n".join(surface()) + "\n")
