"""Training and evaluation as functions; the commands of these names call them."""

from __future__ import annotations

import shutil
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from lmkernel.arguments import is_absent
from lmkernel.contract.distribution import Mesh
from lmkernel.distribution.environment import find_processes
from lmkernel.errors import InputError
from lmkernel.paths import user_path
from lmkernel.progress import as_progress
from lmkernel.training.outcome import Evaluation, TrainingRun
from lmkernel.training.run.folder import is_bare, open_run
from lmkernel.training.run.keywords import settings_of
from lmkernel.training.run.running import run_session
from lmkernel.training.run.session import evaluate_session, prepare_session
from lmkernel.training.together import train_together
from lmkernel.training.usual import ADAPTER_RATE, EVALUATE, FINETUNE, PRETRAIN

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import Unpack

    from lmkernel.progress import ProgressLike
    from lmkernel.training.run.folder import RunFolder
    from lmkernel.training.run.keywords import RunKeywords
    from lmkernel.training.run.settings import RunSettings

    Overrides = Mapping[str, Any] | Iterable[str]

__all__ = ["evaluate", "finetune", "pretrain", "resume"]


def pretrain(
    data: str | os.PathLike[str] | None = None,
    *,
    start: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    config: str | os.PathLike[str] | None = None,
    settings: Overrides = (),
    progress: ProgressLike = True,
    **keywords: Unpack[RunKeywords],
) -> TrainingRun:
    """Train a new model, or go on pre-training one, on unlabelled text.

    Without any argument: a small GPT on the texts of Python's own help, within two minutes.

    Args:
        data: a file or folder (text, JSONL, CSV, Parquet), or the name of a built-in text.
        start: a model to go on from, in place of a new one.
        out: the run's folder, new or empty; by default ``runs/pretrain-TIME``.
        config: a file of settings in TOML.
        settings: any of them by dotted key, such as ``{"optimizer.kind": "muon"}``.
        progress: True reports on standard error, False not at all; or a function to be called.
        keywords: the usual settings by name; see `RunKeywords`.

    Raises:
        LmkernelError: whatever is wrong with settings, model or data, by its name.
    """
    if start is not None and not str(start):  # as of a variable of a shell that is not set
        raise InputError("start: expected a model to go on from, got an empty name")
    given = {**keywords, "data": data, "model": start, "positions": keywords.get("context")}
    given.pop("context", None)
    asked = settings_of(given, defaults=PRETRAIN, file=config, overrides=settings)
    return _train(asked, progress, out=out, verb="pretrain")


def finetune(
    model: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    config: str | os.PathLike[str] | None = None,
    settings: Overrides = (),
    progress: ProgressLike = True,
    **keywords: Unpack[RunKeywords],
) -> TrainingRun:
    """Go on training a model on instructions, labels or text, whole or through adapters.

    Args:
        model: what to start from: a name, a folder or a GGUF file.
        data: a file or folder (text, JSONL, CSV, Parquet).
        out: the run's folder, new or empty; by default ``runs/finetune-TIME``.
        config: a file of settings in TOML.
        settings: any of them by dotted key, such as ``{"training.clip": 0.5}``.
        progress: True reports on standard error, False not at all; or a function to be called.
        keywords: the usual settings by name; see `RunKeywords`. ``lora=8`` trains
            adapters of rank 8, ``merge=True`` writes the model with them merged into it.

    Raises:
        LmkernelError: whatever is wrong with settings, model or data, by its name.
    """
    given = {**keywords, "model": model, "data": data}
    asked = _finetune_settings(given, file=config, overrides=settings)
    return _train(asked, progress, out=out, verb="finetune")


def _finetune_settings(given: Mapping[str, Any], **more: Any) -> RunSettings:
    """The settings of `finetune`: adapters have a higher learning rate, unless one is given."""
    asked = settings_of(given, defaults=FINETUNE, **more)
    if asked.lora is not None:
        schedule = {**FINETUNE["schedule"], "rate": ADAPTER_RATE}
        defaults = {**FINETUNE, "schedule": schedule}
        asked = settings_of(given, defaults=defaults, **more)
    if not asked.model.start:
        raise InputError("expected a model to start from, as an argument or as model.start")
    _require_data(asked, "train")
    return asked


def _require_data(settings: RunSettings, what: str) -> None:
    if not settings.data.train:
        raise InputError(
            f"expected data to {what} on: as an argument (--data), or as data.train in a file of "
            "settings"
        )


def resume(
    folder: str | os.PathLike[str] | TrainingRun,
    *,
    settings: Overrides = (),
    progress: ProgressLike = True,
    **keywords: Unpack[RunKeywords],
) -> TrainingRun:
    """Go on with the run in a folder, to the same bits as if it had never stopped.

    Args:
        folder: of the run; or what `pretrain` or `finetune` gave back.
        settings: settings by dotted key in place of the run's own.
        progress: as for `pretrain`.
        keywords: settings by name in place of the run's own, such as ``steps=400``.

    Raises:
        RunError: there is no run, another process holds it, or its data have changed.
    """
    if isinstance(folder, TrainingRun):
        folder = folder.folder
    if is_absent(folder):
        raise InputError(f"expected the folder of a run, got {folder!r}")
    folder = user_path(folder)
    asked = settings_of(keywords, defaults={}, overrides=settings, resume=folder)
    return _train(asked, progress, out=folder, verb="pretrain", resume=True)


def evaluate(
    model: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    *,
    config: str | os.PathLike[str] | None = None,
    settings: Overrides = (),
    progress: ProgressLike = True,
    **keywords: Unpack[RunKeywords],
) -> Evaluation:
    """Loss, perplexity, bits per byte, accuracy and F1 of a model on all of some data.

    Args:
        model: a name, a folder or a GGUF file.
        data: a file or folder (text, JSONL, CSV, Parquet).
        config: a file of settings in TOML.
        settings: any of them by dotted key.
        progress: as for `pretrain`.
        keywords: the usual settings by name; see `RunKeywords`.

    Raises:
        LmkernelError: whatever is wrong with settings, model or data, by its name.
    """
    given = {**keywords, "model": model, "data": data}
    asked = settings_of(given, defaults=EVALUATE, file=config, overrides=settings)
    if not asked.model.start:
        raise InputError("expected a model to evaluate, as an argument or as model.start")
    _require_data(asked, "evaluate")
    values = evaluate_session(asked, as_progress(progress))
    return Evaluation(model=asked.model.start, data=asked.data.train, metrics=values)


def _train(
    settings: RunSettings,
    progress: ProgressLike,
    *,
    out: str | os.PathLike[str] | None,
    verb: str,
    resume: bool = False,
) -> TrainingRun:
    """Run in a folder; by default one of its own under ``runs/``."""
    path = user_path(out or f"runs/{verb}-{time.strftime('%Y%m%d-%H%M%S')}")
    shown, processes = as_progress(progress), find_processes()
    if processes.count > 1 or Mesh.parse(settings.mesh).size > 1:
        hold = partial(_held_folder, path, resume=resume)
        path, outcome = train_together(settings, processes, hold, shown)
    else:
        with _held_folder(path, resume=resume) as folder:
            session = prepare_session(settings, shown)
            outcome = run_session(session, folder, shown)
    return TrainingRun(folder=path, settings=settings, outcome=outcome, rank=processes.rank)


@contextmanager
def _held_folder(path: Path, *, resume: bool) -> Iterator[RunFolder]:
    """The run's folder; a new one goes again if no run begins in it."""
    new = not path.exists()
    with open_run(path, resume=resume) as folder:
        try:
            yield folder
        finally:
            if new and is_bare(path):
                shutil.rmtree(path, ignore_errors=True)
