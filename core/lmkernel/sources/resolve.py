"""From what a user wrote, a path or a name, to a model on this machine.

Constraints: a path that exists is used as it is and nothing is written; a name is looked up among
the registered sources; a pull is all or nothing (see `lmkernel.sources.store`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lmkernel.atomic import new_directory
from lmkernel.errors import (
    CheckpointError,
    ConfigError,
    InputError,
    LmkernelError,
    PluginError,
    PullError,
    UnknownNameError,
)
from lmkernel.files import is_file, is_folder
from lmkernel.paths import user_path
from lmkernel.plugins import SourceSpec, default_registry
from lmkernel.plugins.guard import plugin_code
from lmkernel.progress import Progress
from lmkernel.sources.home import HOME_VARIABLE
from lmkernel.sources.source import Source
from lmkernel.sources.store import claim, pulled_models

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.plugins import Registry

__all__ = ["find_model", "known_models", "pull", "serving"]

_RUN, _MODEL, _CHECKPOINTS = "run.toml", "model", "checkpoints/step-*"
"""In the folder of a run: its settings, the model that it made, and those on the way."""


def find_model(
    name_or_path: str | Path,
    *,
    registry: Registry | None = None,
    progress: Progress | None = None,
    pull: bool = True,
) -> Path:
    """The folder or file of a model, pulled first if need be.

    Args:
        name_or_path: a folder or ``.gguf`` file that exists, the folder of a run, or a name that a
            source serves. Of a run that has not made its model yet, it is the last checkpoint.
        registry: where to look for sources; by default all that is installed.
        progress: the object to report to; by default none.
        pull: whether a model that is not there may be pulled.

    Raises:
        UnknownNameError: neither a path nor a name; the message lists the names.
        InputError: a path to a file of another kind.
        PullError: the model is not there and cannot be pulled, or must not.
    """
    name = str(name_or_path)
    path = user_path(name_or_path)
    if is_file(path / _RUN):
        return _model_of_run(path, progress or Progress())
    if name and (is_folder(path) or (is_file(path) and path.suffix == ".gguf")):
        return path
    if is_file(path):
        raise InputError(f"expected a model's folder or a .gguf file, got the file {path}")
    with (registry or default_registry()).use():
        there = _pulled(name)
        if there:
            return there
        spec = _serving_or_path(name)
    if not pull:
        raise PullError(f"model {name!r} is not on this machine; run: lmkernel pull {name}")
    return _obtain(spec, name, progress=progress or Progress())


def pull(
    name: str,
    *,
    registry: Registry | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> Path:
    """Fetch a model by name, unless it is there, and return its folder.

    Args:
        name: a name that a source serves.
        registry: where to look for sources; by default all that is installed.
        progress: the object to report to; by default none.
        force: whether to fetch a model that is there already; if that fails, the old one stays.

    Raises:
        UnknownNameError: no source serves this name.
        PullError: it could not be fetched; nothing has changed.
        PluginError: the source failed in a way of its own; nothing has changed.
    """
    reporter = progress or Progress()
    with (registry or default_registry()).use():
        spec = serving(name)
    there = pulled_models().get(name)
    if there and not force:
        reporter.say(f"{name} is there already; --force pulls it anew")
        return there
    return _obtain(spec, name, progress=reporter, force=force)


def known_models(registry: Registry | None = None) -> dict[str, tuple[str, str]]:
    """The names that sources serve, each with the source's name and a line of description."""
    known: dict[str, tuple[str, str]] = {}
    for spec in (registry or default_registry()).all(SourceSpec).values():
        for name, description in spec.models.items():
            known.setdefault(name, (spec.name, description))
    return known


def serving(name: str) -> SourceSpec:
    """The source that serves a name: by the name itself, else by its prefix."""
    specs = list(default_registry().all(SourceSpec).values())
    for spec in specs:
        if name in spec.models:
            return spec
    for spec in specs:
        if spec.prefix and name.startswith(spec.prefix):
            return spec
    patterns = [f"{spec.prefix}NAME" for spec in specs if spec.prefix]
    raise UnknownNameError("model", name, [*known_models(), *patterns])


def _model_of_run(folder: Path, progress: Progress) -> Path:
    """The model that a run made; of one that is not at its end, the last on the way."""
    if (folder / _MODEL).is_dir():
        return folder / _MODEL
    there = [(int(p.name[5:]), p) for p in folder.glob(_CHECKPOINTS) if p.name[5:].isdecimal()]
    if not there:
        raise InputError(f"{folder}: the run has no model and no checkpoint yet; resume it first")
    step, last = max(there)
    progress.note(f"{folder}: the run is not at its end; this is its model after step {step}")
    return last


def _pulled(name: str) -> Path | None:
    """The folder of a model that was pulled by this name, or by it after a source's prefix."""
    there = pulled_models()
    if name in there:
        return there[name]
    prefixes = [spec.prefix for spec in default_registry().all(SourceSpec).values() if spec.prefix]
    for prefix in prefixes:
        revisions = [one for one in there if one.startswith(f"{prefix}{name}@")]
        if f"{prefix}{name}" in there:
            return there[f"{prefix}{name}"]
        if len(revisions) == 1:
            return there[revisions[0]]
    return None


def _serving_or_path(name: str) -> SourceSpec:
    """The source of a name; one that looks like a path is reported as a missing file."""
    try:
        return serving(name)
    except UnknownNameError:
        if any(separator in name for separator in ("/", "\\")) or name.endswith(".gguf"):
            raise InputError(f"no such folder or file: {name}{_hub_hint(name)}") from None
        raise


def _hub_hint(name: str) -> str:
    """What looks like ORG/NAME may be meant as a name on a hub."""
    prefixes = [spec.prefix for spec in default_registry().all(SourceSpec).values() if spec.prefix]
    if not prefixes or name.count("/") != 1 or name.startswith((".", "/", "~")):
        return ""
    return f"; for the model of this name on a hub: {prefixes[0]}{name}"


def _obtain(spec: SourceSpec, name: str, *, progress: Progress, force: bool = False) -> Path:
    with claim(name, progress) as target:
        # another process may have pulled it while this one waited
        if force or not target.is_dir():
            _fetch(spec, name, target, progress)
    return target


def _fetch(spec: SourceSpec, name: str, target: Path, progress: Progress) -> None:
    with new_directory(target, overwrite=True, error=PullError) as ready:
        source = _create(spec)
        with plugin_code(f"model source {spec.name!r}, {name!r}", LmkernelError):
            try:
                source.fetch(name, ready, progress=progress)
            except OSError as error:
                raise PullError(
                    f"model {name!r} could not be put into {target.parent}: {error}; "
                    f"{HOME_VARIABLE} chooses another folder"
                ) from error
        _check(spec, name, ready)


def _check(spec: SourceSpec, name: str, folder: Path) -> None:
    """Open what was fetched, as it is published next."""
    from lmkernel.sources.check import check_model

    if not any(folder.iterdir()):
        raise PullError(f"source {spec.name!r} left nothing for model {name!r}")
    try:
        check_model(folder)
    except (CheckpointError, ConfigError) as error:
        why = str(error).replace(f"{folder}{os.sep}", "").replace(f"{folder}: ", "")
        raise PullError(f"{name}: what came is no model, and was not kept: {why}") from error


def _create(spec: SourceSpec) -> Source:
    source: Source = spec.create()
    if not issubclass(type(source), Source):  # what it says of its class is its own code
        raise PluginError(
            f"model source {spec.name!r}: expected {spec.load} to give a Source, "
            f"got {type(source).__name__}"
        )
    return source
