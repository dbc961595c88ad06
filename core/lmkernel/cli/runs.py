"""Arguments of the commands that train, and what they mean as settings."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.errors import InputError, RunError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from lmkernel.plugins import Registry
    from lmkernel.training.run.folder import RunFolder
    from lmkernel.training.run.running import Outcome
    from lmkernel.training.run.settings import RunSettings

__all__ = [
    "INTERRUPTED",
    "add_run_options",
    "add_settings_options",
    "report",
    "settings_of",
    "train",
]

INTERRUPTED = 130
_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "objective": "objective",
        "backend": "backend",
        "device": "device",
        "dtype": "training.precision",
        "data": "data.train",
        "validation": "data.validation",
        "steps": "training.steps",
        "batch": "training.batch",
        "rate": "schedule.rate",
        "seed": "training.seed",
        "lora": "lora.rank",
        "tracker": "trackers",
    }
)
"""Which setting each flag is short for."""


def add_run_options(
    parser: argparse.ArgumentParser, *, objectives: tuple[str, ...], usual: Mapping[str, str]
) -> None:
    """What is trained on, for how long, where, and where it is written.

    Args:
        parser: of the command.
        objectives: those that it has, the default first.
        usual: what is said of the defaults of ``steps``, ``batch`` and ``rate``.
    """
    what = parser.add_argument_group("what it learns, and for how long")
    what.add_argument(
        "--objective",
        choices=objectives,
        metavar="NAME",
        help=f"{', '.join(objectives)}; default {objectives[0]}",
    )
    what.add_argument("--data", metavar="PATH", help="text, JSONL, CSV, Parquet, or a folder")
    what.add_argument("--validation", metavar="PATH", help="the same; default a share of the data")
    for name, kind, metavar, help_ in (
        ("steps", int, "N", "steps of the optimizer"),
        ("batch", int, "N", "rows of a batch"),
        ("rate", float, "R", "the highest learning rate"),
    ):
        text = f"{help_}; default {usual[name]}"
        what.add_argument(f"--{name}", type=kind, metavar=metavar, help=text)
    what.add_argument("--seed", type=int, metavar="S", help="of weights, order, dropout; default 0")
    where = parser.add_argument_group("where it runs")
    where.add_argument("--backend", metavar="NAME", help="see `lmkernel backends`")
    where.add_argument("--device", metavar="KIND[:N]", help="such as cpu or cuda:1")
    where.add_argument("--dtype", metavar="NAME", help="float32, or bfloat16 for mixed precision")
    kept = parser.add_argument_group("where it is written")
    kept.add_argument("--out", metavar="FOLDER", help="new or empty; default runs/COMMAND-TIME")
    kept.add_argument("--resume", metavar="FOLDER", help="go on with the run in this folder")
    kept.add_argument(
        "--tracker", action="append", metavar="NAME", help="record with this plugin too; repeatable"
    )
    kept.add_argument("--quiet", action="store_true", help="show nothing while it runs")
    add_settings_options(parser)


def add_settings_options(parser: argparse.ArgumentParser) -> None:
    """``--config`` and ``--set``."""
    rest = parser.add_argument_group("everything else")
    rest.add_argument(
        "--config", metavar="FILE", help="settings in TOML; a run's run.toml shows all there are"
    )
    rest.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one of them, such as optimizer.kind=muon; repeatable",
    )


def settings_of(
    args: argparse.Namespace, defaults: Mapping[str, Any], more: Mapping[str, Any]
) -> RunSettings:
    """The settings: defaults, below those of a file, below those of flags.

    Args:
        args: with the flags of `add_run_options`, as far as the command has them.
        defaults: of the command.
        more: what its other flags say, by dotted key; None where they are not given.

    Raises:
        ConfigError: names the file, the line and the key of what is wrong.
        InputError: flags that contradict each other.
        RunError: there is no run to resume.
    """
    from dataclasses import replace

    from lmkernel.settings.file import (
        load_settings,
        merge,
        parse_overrides,
        settings_from,
    )
    from lmkernel.settings.locations import Locations
    from lmkernel.training.run.folder import SETTINGS, has_run
    from lmkernel.training.run.settings import RunSettings

    resume = getattr(args, "resume", None)
    if resume and (args.config or args.out):
        raise InputError("--resume: the folder says what runs; leave out --config and --out")
    if resume and not has_run(resume):
        raise RunError(f"{resume}: expected a run to resume, got no {SETTINGS}")
    given = {**{key: getattr(args, flag, None) for flag, key in _KEYS.items()}, **more}
    flags = {key: value for key, value in given.items() if value is not None}
    flags.update(parse_overrides(args.set))
    file = Path(resume) / SETTINGS if resume else args.config
    values, places = load_settings(file) if file else ({}, Locations("the flags"))
    if not resume:
        values = _over(defaults, values)
    names = frozenset(tuple(key.split(".")) for key in flags)
    merged = _with_usual_optimizer(merge(values, flags))
    return settings_from(merged, RunSettings, replace(places, flags=names))


def _with_usual_optimizer(values: dict[str, Any]) -> dict[str, Any]:
    """What an optimizer that is named by its kind leaves out is usual for that kind."""
    from lmkernel.training.config import OptimizerConfig
    from lmkernel.training.step.optimizers import USUAL

    given = values.get("optimizer")
    if not isinstance(given, dict) or not isinstance(given.get("kind"), str):
        return values
    plain = {k: v for k, v in vars(OptimizerConfig()).items() if k != "options"}
    usual = {**plain, **USUAL.get(given["kind"], {})}
    return {**values, "optimizer": {**usual, **given}}


def _over(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values, and the defaults of what they leave out."""
    both = {
        key: _over(default, values[key])
        if isinstance(default, dict) and isinstance(values.get(key), dict)
        else values.get(key, default)
        for key, default in defaults.items()
    }
    return {**values, **both}


def train(
    args: argparse.Namespace, settings: RunSettings, registry: Registry, command: str
) -> tuple[Outcome, Path]:
    """Run in the folder that the arguments name; returns how it ended, and the folder."""
    from lmkernel.sources.progress import Progress
    from lmkernel.training.run.running import run
    from lmkernel.training.run.session import put_together

    stream = None if args.quiet else sys.stderr
    default = f"runs/{command}-{time.strftime('%Y%m%d-%H%M%S')}"
    path = Path(args.resume or args.out or default)
    with _opened(path, resume=bool(args.resume)) as folder:
        session = put_together(settings, registry, Progress(stream))
        return run(session, folder, registry, stream), path


@contextmanager
def _opened(path: Path, *, resume: bool) -> Iterator[RunFolder]:
    """The run's folder; a new one goes again if no run begins in it."""
    from lmkernel.training.run.folder import has_run, open_run

    new = not path.exists()
    with open_run(path, resume=resume) as folder:
        try:
            yield folder
        finally:
            if new and not has_run(path):
                shutil.rmtree(path, ignore_errors=True)


def report(outcome: Outcome, folder: Path, command: str) -> int:
    """Say how it ended; returns the exit code."""
    if outcome.model is None:
        print(f"interrupted after step {outcome.step}; go on with:", file=sys.stderr)
        print(f"  lmkernel {command} --resume {shlex.quote(str(folder))}", file=sys.stderr)
        return INTERRUPTED
    shown = {k: v for k, v in outcome.evaluation.items() if k != "targets"}
    numbers = ", ".join(f"{name.replace('_', ' ')} {x:.4g}" for name, x in shown.items())
    print(f"{outcome.status} after step {outcome.step}: {numbers}")
    if outcome.best and outcome.best["step"] != outcome.step:
        print(f"best: loss {outcome.best['loss']:.4g} at step {outcome.best['step']}")
    print(f"model: {outcome.model}")
    if outcome.status == "was finished":
        print("nothing was left to train; for more, say --steps", file=sys.stderr)
    return 0
