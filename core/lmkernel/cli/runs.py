"""Arguments of the commands that train, and what they mean as settings."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from lmkernel.plugins import Registry
    from lmkernel.training.running import Outcome
    from lmkernel.training.settings import RunSettings

__all__ = ["INTERRUPTED", "add_run_options", "report", "settings_of", "train"]

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


def add_run_options(parser: argparse.ArgumentParser, *, objectives: tuple[str, ...]) -> None:
    """What is trained on, for how long, where, and where it is written."""
    what = parser.add_argument_group("what and how long")
    what.add_argument("--objective", choices=objectives, help=f"default {objectives[0]}")
    what.add_argument("--data", metavar="PATH", help="text, JSONL, CSV, Parquet, or a folder")
    what.add_argument("--validation", metavar="PATH", help="default: a share of the data")
    what.add_argument("--steps", type=int, metavar="N", help="optimizer steps")
    what.add_argument("--batch", type=int, metavar="N", help="rows of a batch")
    what.add_argument("--rate", type=float, metavar="R", help="the highest learning rate")
    what.add_argument("--seed", type=int, metavar="S", help="of weights, order and dropout")
    rest = parser.add_argument_group("everything else")
    rest.add_argument("--config", metavar="FILE", help="a TOML file with any of the settings")
    rest.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting, such as optimizer.kind=muon; repeatable",
    )
    rest.add_argument("--out", metavar="FOLDER", help="of the run; default runs/COMMAND-TIME")
    rest.add_argument("--resume", metavar="FOLDER", help="go on with the run in this folder")
    rest.add_argument("--tracker", action="append", metavar="NAME", help="repeatable")
    rest.add_argument("--quiet", action="store_true", help="show nothing while it runs")
    where = parser.add_argument_group("where it runs")
    where.add_argument("--backend", metavar="NAME", help="see `lmkernel backends`")
    where.add_argument("--device", metavar="KIND[:N]", help="such as cpu or cuda:1")
    where.add_argument("--dtype", metavar="NAME", help="bfloat16 for mixed precision")


def settings_of(args: argparse.Namespace, defaults: Mapping[str, Any]) -> RunSettings:
    """The settings: defaults, below those of a file, below those of flags.

    Raises:
        ConfigError: names the file, the line and the key of what is wrong.
        InputError: flags that contradict each other.
    """
    from dataclasses import replace

    from lmkernel.training.run.folder import SETTINGS
    from lmkernel.training.run.places import Places
    from lmkernel.training.run.settings_file import (
        load_settings,
        merge,
        parse_overrides,
        settings_from,
    )
    from lmkernel.training.settings import RunSettings

    if args.resume and (args.config or args.out):
        raise InputError("--resume: the folder says what runs; leave out --config and --out")
    given = {key: getattr(args, flag, None) for flag, key in _KEYS.items()}
    flags = {key: value for key, value in given.items() if value is not None}
    flags.update(parse_overrides(args.set))
    file = Path(args.resume) / SETTINGS if args.resume else args.config
    values, places = load_settings(file) if file else ({}, Places("the flags"))
    if not args.resume:
        values = _over(defaults, values)
    names = frozenset(tuple(key.split(".")) for key in flags)
    return settings_from(merge(values, flags), RunSettings, replace(places, flags=names))


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
    from lmkernel.training.run.folder import open_run
    from lmkernel.training.running import run
    from lmkernel.training.session import put_together

    stream = None if args.quiet else sys.stderr
    default = f"runs/{command}-{time.strftime('%Y%m%d-%H%M%S')}"
    path = Path(args.resume or args.out or default)
    with open_run(path, resume=bool(args.resume)) as folder:
        session = put_together(settings, registry, Progress(stream))
        return run(session, folder, registry, stream), path


def report(outcome: Outcome, folder: Path, command: str) -> int:
    """Say how it ended; returns the exit code."""
    if outcome.model is None:
        print(f"interrupted after step {outcome.step}; go on with:", file=sys.stderr)
        print(f"  lmkernel {command} --resume {folder}", file=sys.stderr)
        return INTERRUPTED
    shown = {k: v for k, v in outcome.evaluation.items() if k != "targets"}
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
    print(f"{outcome.status} after step {outcome.step}: {numbers}")
    if outcome.best and outcome.best["step"] != outcome.step:
        print(f"best: loss {outcome.best['loss']:.4g} at step {outcome.best['step']}")
    print(f"model: {outcome.model}")
    return 0
