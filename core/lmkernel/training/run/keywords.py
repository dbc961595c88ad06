"""Short names of settings, as flags of a command or keywords of a function, and their meaning."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypedDict

from lmkernel.arguments import as_items
from lmkernel.errors import ConfigError, InputError, RunError, UnknownNameError, shown
from lmkernel.families.family import require_new_family
from lmkernel.paths import user_path
from lmkernel.plugins import BackendSpec, OptimizerSpec, TrackerSpec, default_registry
from lmkernel.settings.file import key_path, load_settings, merge, parse_overrides, settings_from
from lmkernel.settings.locations import ARGUMENTS, Locations
from lmkernel.training.run.folder import SETTINGS, has_run
from lmkernel.training.run.settings import ModelSettings, RunSettings
from lmkernel.training.step.optimizers import usual_config

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from lmkernel.settings.locations import KeyPath

__all__ = ["RunKeywords", "settings_of"]


class RunKeywords(TypedDict, total=False):
    """Settings of a run by their short names.

    ``objective``; ``validation``, ``columns``, ``turns``, ``context`` and ``truncate`` (see
    `DataSettings`); ``steps``, ``batch``, ``seed`` and ``dtype`` (see `StepSettings`);
    ``learning_rate``, the highest; ``backend``, ``device`` and ``mesh``; ``lora``, the rank of
    adapters, and ``merge``; ``chat_template`` (see `ModelSettings`); ``trackers``; of a new model
    ``family``, ``width``, ``layers``, ``heads`` and ``vocab``.
    """

    objective: str
    validation: str | os.PathLike[str]
    columns: Mapping[str, str]
    turns: str
    context: int
    truncate: bool
    steps: int
    batch: int
    learning_rate: float
    seed: int
    backend: str
    device: str
    mesh: str
    dtype: str
    lora: int
    merge: bool
    chat_template: str | os.PathLike[str]
    trackers: Sequence[str]
    family: str
    width: int
    layers: int
    heads: int
    vocab: int


KEYS: Mapping[str, str] = MappingProxyType(
    {
        "objective": "objective",
        "data": "data.train",
        "validation": "data.validation",
        "columns": "data.columns",
        "turns": "data.turns",
        "context": "data.context",
        "truncate": "data.truncate",
        "steps": "training.steps",
        "batch": "training.batch",
        "learning_rate": "schedule.rate",
        "seed": "training.seed",
        "backend": "backend",
        "device": "device",
        "mesh": "mesh",
        "dtype": "training.precision",
        "lora": "lora.rank",
        "merge": "merge",
        "chat_template": "model.chat_template",
        "trackers": "trackers",
        "model": "model.start",
        "family": "model.family",
        "width": "model.width",
        "layers": "model.layers",
        "heads": "model.heads",
        "positions": "model.context",
        "vocab": "model.vocab",
    }
)
"""Which setting each short name stands for."""

_MOVABLE = ("start", "tokenizer", "chat_template")
"""Settings of a model that name files; a resumed run may find them elsewhere."""
_OF_A_RUN = ("objective", "lora", "optimizer.kind", "training.batch", "training.seed")
"""What its batches, its parameters and the optimizer's state follow from."""
_NEW = ("family", "width", "layers", "heads", "hidden", "context", "vocab", "tokenizer", "dropout")
"""Settings of a new model alone."""


def settings_of(
    short: Mapping[str, Any],
    *,
    defaults: Mapping[str, Any],
    file: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | Iterable[str] = (),
    resume: str | os.PathLike[str] | None = None,
) -> RunSettings:
    """The settings: defaults, below those of a file, below what is given.

    Args:
        short: values by short name; None is the same as nothing.
        defaults: values by section and name.
        file: of settings in TOML.
        overrides: values by dotted key, or texts ``key=value``.
        resume: the folder of a run, whose settings take the place of defaults and file.

    Raises:
        ConfigError: names the file, the line and the key of what is wrong; also, where a run would
            be resumed as another model.
        UnknownNameError: a short name that there is none of.
        RunError: there is no run to resume.
    """
    resume = user_path(resume) if resume else None
    if resume and not has_run(resume):
        raise RunError(f"{resume}: expected a run to resume, got no {SETTINGS}")
    given = _by_key(short, overrides)
    source = resume / SETTINGS if resume else file
    values, where = load_settings(source) if source else ({}, Locations("the settings"))
    base = values if resume else _with_defaults(values, defaults)
    flags = frozenset(map(key_path, given))
    whence = replace(where, flags=flags)
    asked = settings_from(_with_usual_optimizer(merge(base, given), whence), RunSettings, whence)
    _check_names(asked, whence)
    if resume:
        _check_same_run(asked, settings_from(values, RunSettings, where))
    elif asked.model.start:
        _check_start(asked.model, given)
    return asked


def _check_same_run(asked: RunSettings, begun: RunSettings) -> None:
    """A resumed run trains what it began with; only files may have moved."""
    kept = [f"model.{field.name}" for field in fields(begun.model) if field.name not in _MOVABLE]
    for key in (*kept, *_OF_A_RUN):
        find = operator.attrgetter(key)
        if find(asked) != find(begun):
            raise ConfigError(
                f"{key}: expected {find(begun)!r}, as the run began, got {shown(find(asked))}; "
                "begin a new run in a new folder for another"
            )


def _check_start(model: ModelSettings, given: Collection[str]) -> None:
    """What describes a new model would be passed over where another is gone on with."""
    for name in _NEW:
        value = getattr(model, name)
        if f"model.{name}" in given or value != getattr(ModelSettings(), name):
            advice = "; data.context says how long examples are" if name == "context" else ""
            raise ConfigError(
                f"model.{name}: expected none beside model.start={model.start!r}, whose own holds "
                f"(a new model alone has it), got {shown(value)}{advice}"
            )


def _by_key(
    short: Mapping[str, Any], overrides: Mapping[str, Any] | Iterable[str]
) -> dict[str, Any]:
    for name in short:
        if name not in KEYS:  # of which some are a verb's own arguments
            raise UnknownNameError("setting of a run", name, RunKeywords.__annotations__)
    given = {KEYS[name]: _plain(value) for name, value in short.items() if value is not None}
    if isinstance(overrides, Mapping):
        return {**given, **overrides}
    texts = as_items(overrides)
    if texts is None:
        raise InputError(f"settings: expected values by dotted key, got {shown(overrides)}")
    return {**given, **parse_overrides(texts)}


def _plain(value: Any) -> Any:
    """What TOML can hold: a path, or what stands for one, as text."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _check_names(asked: RunSettings, whence: Locations) -> None:
    """What is named is registered; a file is named with the line that says otherwise."""
    registry = default_registry()
    if asked.backend:
        with _placed(whence, ("backend",)):
            registry.get(BackendSpec, asked.backend)
    for i, name in enumerate(asked.trackers):
        with _placed(whence, ("trackers", i)):
            registry.get(TrackerSpec, name)
    if not asked.model.start:
        with _placed(whence, ("model", "family")):
            require_new_family(asked.model.family)


@contextmanager
def _placed(whence: Locations, path: KeyPath) -> Iterator[None]:
    """An unknown name in a file is a complaint about the file; one that was given is as it was."""
    try:
        yield
    except UnknownNameError as error:
        if whence.of(path) == ARGUMENTS:
            raise
        raise whence.error(path, str(error)) from error


def _with_usual_optimizer(values: dict[str, Any], whence: Locations) -> dict[str, Any]:
    """What an optimizer that is named by its kind leaves out is usual for that kind."""
    given = values.get("optimizer")
    if not isinstance(given, dict) or not isinstance(given.get("kind"), str):
        return values
    with _placed(whence, ("optimizer", "kind")):
        default_registry().get(OptimizerSpec, given["kind"])
    usual = vars(usual_config(given["kind"]))
    return {**values, "optimizer": {**usual, **given}}


def _with_defaults(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Values, and the defaults of what they leave out, table by table."""
    both = {
        key: _with_defaults(values[key], default)
        if isinstance(default, dict) and isinstance(values.get(key), dict)
        else values.get(key, default)
        for key, default in defaults.items()
    }
    return {**values, **both}
