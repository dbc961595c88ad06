"""Plugins: what they may register, and the registry that finds it by name."""

from lmkernel.plugins.hookspecs import hookimpl
from lmkernel.plugins.registry import Registry, default_registry
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

__all__ = [
    "BackendSpec",
    "CommandSpec",
    "ComponentSpec",
    "FamilySpec",
    "OptimizerSpec",
    "Registry",
    "SourceSpec",
    "Spec",
    "SubjectSpec",
    "TrackerSpec",
    "default_registry",
    "hookimpl",
]
