"""Who raised what a built-in command did not expect: a plugin, which is called as it is.

Operations, components and scopes are called without a guard, since frameworks look into them. What
one raises goes through a frame of its author's after the last of the core's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.composed.assemble import operation_of
from lmkernel.plugins import BackendSpec, ComponentSpec, default_registry
from lmkernel.plugins.places import package_of, places_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.plugins import Spec
    from lmkernel.plugins.places import Place

__all__ = ["culprit"]

_CORE = "lmkernel"


def culprit(error: BaseException) -> str:
    """The plugin, what it was asked for, and the line of its author's.

    Returns:
        such as ``"backend 'own', matmul, …/own/backend.py, line 12"``; nothing where the error is
        the core's own, or of a library that it calls.
    """
    beyond: list[Place] = []
    # a generator that it leaves makes another error of a StopIteration
    inner = error.__cause__ if isinstance(error.__cause__, StopIteration) else error
    for place in places_of(inner):
        beyond = [] if package_of(place) == _CORE else [*beyond, place]
    for place in beyond:
        if specs := _specs_of(place):
            own = [one for one in beyond if package_of(one) == package_of(place)]
            frame, line = own[-1]
            who = " or ".join(dict.fromkeys(f"{spec.what} {spec.name!r}" for spec in specs))
            return f"{who}, {_asked(own)}, {frame.f_code.co_filename}, line {line}"
    return ""


def _specs_of(place: Place) -> list[Spec]:
    """Those that a frame's module serves, or else its package."""
    registry, module = default_registry(), place[0].f_globals.get("__name__")
    specs = [*registry.all(BackendSpec).values(), *registry.all(ComponentSpec).values()]
    modules = [spec.load.partition(":")[0] for spec in specs]
    exact = [spec for spec, own in zip(specs, modules, strict=True) if own == module]
    package = package_of(place)
    return exact or [
        s for s, own in zip(specs, modules, strict=True) if own.partition(".")[0] == package
    ]


def _asked(own: Sequence[Place]) -> str:
    """The operation that it was, or else the function that was called."""
    for frame, _ in own:
        if name := operation_of(frame.f_code):
            return name
    return own[0][0].f_code.co_qualname.rpartition("<locals>.")[2]
