"""The hooks that a plugin may implement. This file holds nothing else.

A plugin is a module named by an entry point in the group ``lmkernel``. Each hook returns light
specifications: a name and where to import from. Nothing that they point at is imported until its
name is selected, so a hook must not import a framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.plugins.specs import (
        BackendSpec,
        CommandSpec,
        ComponentSpec,
        FamilySpec,
        OptimizerSpec,
        SourceSpec,
        SubjectSpec,
        TrackerSpec,
    )

PROJECT = "lmkernel"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def lmkernel_register_backends() -> Sequence[BackendSpec]:
    """Backends: a framework, its capabilities, and where to load it from."""
    raise AssertionError


@hookspec
def lmkernel_register_components() -> Sequence[ComponentSpec]:
    """Kinds of embedding, encoder, decoder, attention, loss and trainer."""
    raise AssertionError


@hookspec
def lmkernel_register_families() -> Sequence[FamilySpec]:
    """Model families: how a ``model_type`` of the ecosystem maps to a configuration and names."""
    raise AssertionError


@hookspec
def lmkernel_register_sources() -> Sequence[SourceSpec]:
    """Sources of models that ``lmkernel pull`` knows by name or by prefix."""
    raise AssertionError


@hookspec
def lmkernel_register_commands() -> Sequence[CommandSpec]:
    """Commands of the program ``lmkernel``."""
    raise AssertionError


@hookspec
def lmkernel_register_optimizers() -> Sequence[OptimizerSpec]:
    """Optimizers: how gradients become new parameters."""
    raise AssertionError


@hookspec
def lmkernel_register_trackers() -> Sequence[TrackerSpec]:
    """Trackers: where the numbers of a training run are recorded besides its own folder."""
    raise AssertionError


@hookspec
def lmkernel_register_subjects() -> Sequence[SubjectSpec]:
    """Subjects: implementations of checkpoints that ``lmkernel verify`` compares with ours."""
    raise AssertionError
