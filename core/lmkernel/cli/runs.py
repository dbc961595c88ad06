"""Arguments of the commands that train, and what they mean as settings."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

from lmkernel.cli.guarded import Ended
from lmkernel.cli.options import add_backend_options
from lmkernel.errors import InputError
from lmkernel.progress import Progress

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from lmkernel.training.outcome import TrainingRun

__all__ = [
    "add_data_options",
    "add_run_options",
    "add_settings_options",
    "named_columns",
    "report_outcome",
    "short_settings",
    "train",
]

INTERRUPTED = 130
_PRETRAINED = ("causal", "masked")
"""The objectives of pre-training."""
_SHARED = (
    *("objective", "backend", "device", "mesh", "dtype", "data", "validation", "truncate", "turns"),
    *("steps", "batch", "learning_rate", "seed", "lora", "trackers", "chat_template"),
)
"""The settings that several commands have flags for, by their short names."""


def add_run_options(
    parser: argparse.ArgumentParser, *, objectives: tuple[str, ...], usual: Mapping[str, str]
) -> None:
    """What is trained on, for how long, where, and where it is written.

    Args:
        parser: the command's parser.
        objectives: the command's objectives, the default first.
        usual: the help's words for the defaults of ``steps``, ``batch`` and ``learning_rate``.
    """
    what = parser.add_argument_group("what it learns, and for how long")
    what.add_argument(
        "--objective",
        choices=objectives,
        metavar="NAME",
        help=f"{', '.join(objectives)}; default {objectives[0]}",
    )
    add_data_options(what, "text, JSON, JSONL, CSV, Parquet, or a folder")
    what.add_argument("--validation", metavar="PATH", help="the same; default a share of the data")
    for name, meaning in {"steps": "steps of the optimizer", "batch": "rows of a batch"}.items():
        text = f"{meaning}; default {usual[name]}"
        what.add_argument(f"--{name}", type=int, metavar="N", help=text)
    what.add_argument(
        *("--learning-rate", "--rate"),
        type=float,
        metavar="R",
        help=f"the highest; default {usual['learning_rate']}",
    )
    what.add_argument("--seed", type=int, metavar="S", help="of weights, order, dropout; default 0")
    add_backend_options(parser, dtype="float32, or bfloat16 for mixed precision")
    many = parser.add_argument_group("several processes, or devices")
    many.add_argument(
        "--processes", type=int, metavar="N", help="start so many on this machine; else found"
    )
    many.add_argument(
        "--mesh",
        metavar="AXES",
        help="such as data=2,fsdp=4; by default rows of a batch are divided",
    )
    kept = parser.add_argument_group("where it is written")
    kept.add_argument("--out", metavar="FOLDER", help="new or empty; default runs/COMMAND-TIME")
    kept.add_argument("--resume", metavar="FOLDER", help="go on with the run in this folder")
    kept.add_argument(
        "--tracker",
        action="append",
        dest="trackers",
        metavar="NAME",
        help="record with this plugin too; repeatable",
    )
    kept.add_argument("--quiet", action="store_true", help="show no progress, only what is amiss")
    add_settings_options(parser)


def add_data_options(
    group: argparse._ActionsContainer, data: str, columns: Sequence[str] = (), *, cuts: bool = True
) -> None:
    """``--data``, ``--column`` and, where what is too long may be cut, ``--truncate``.

    ``columns`` are those that have a name; by default all of training.
    """
    from lmkernel.training.objectives import COLUMNS

    group.add_argument("--data", metavar="PATH", help=data)
    group.add_argument(
        "--column",
        action="append",
        dest="columns",
        metavar="NAME=COLUMN",
        help=f"what the data call one of {', '.join(columns or COLUMNS)}; repeatable",
    )
    if not cuts:
        return
    group.add_argument(
        "--truncate",
        action="store_true",
        default=None,
        help="cut examples that are longer than the context",
    )


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


def short_settings(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The settings that flags give, by short name: the shared ones, and a command's own."""
    given = {name: getattr(args, name, None) for name in (*_SHARED, *names)}
    return {**given, "columns": named_columns(args.columns)}


def named_columns(texts: Sequence[str] | None) -> dict[str, str] | None:
    """The columns that ``--column`` names."""
    pairs = [text.partition("=") for text in texts or ()]
    for name, equals, column in pairs:
        if not (name and equals and column):
            raise InputError(f"--column: expected NAME=COLUMN, got {name + equals + column!r}")
    return {name: column for name, _, column in pairs} if pairs else None


def train(
    args: argparse.Namespace, verb: Callable[..., TrainingRun], *names: str, **start: Any
) -> TrainingRun:
    """Train with ``verb`` from ``start``, or go on with the run in the folder of ``--resume``."""
    from lmkernel.training.verbs import resume

    if args.processes is not None:
        _start_processes(args)
    progress = Progress(sys.stderr, quiet=args.quiet)
    asked = {**short_settings(args, *names), "settings": args.set, "progress": progress}
    if not args.resume:
        return verb(**start, out=args.out, config=args.config, **asked)
    if args.config or args.out:
        raise InputError("--resume: the folder says what runs; leave out --config and --out")
    _check_command(args.resume, verb.__name__, start)
    return resume(args.resume, **asked)


def _start_processes(args: argparse.Namespace) -> None:
    """Start this command as several processes, unless it is one of them; ends as they do.

    A single one is not started: it is this one, and what was started alone could not tell.
    """
    from lmkernel.distribution.environment import find_processes
    from lmkernel.distribution.launch import launch

    found = find_processes()
    if found.count == args.processes == 1:
        return
    if found.count == 1:
        command = [sys.executable, "-m", "lmkernel.cli", *args.arguments]
        raise Ended(launch(command, args.processes))
    if found.count != args.processes:
        raise InputError(
            f"--processes: expected {found.count}, as {found.found} say, or nothing; "
            f"got {args.processes}"
        )


def _check_command(folder: str, command: str, start: Mapping[str, Any]) -> None:
    """A run says which model, and is resumed by the command that began it."""
    from lmkernel.training.run.keywords import settings_of

    if given := [name for name, model in start.items() if model]:
        flag = {"model": "MODEL"}.get(given[0], f"--{given[0]}")
        raise InputError(f"--resume: the folder says which model; leave out {flag}")
    begun = settings_of({}, defaults={}, resume=folder)
    new = not begun.model.start
    tuned = not new and (begun.objective not in _PRETRAINED or begun.lora is not None)
    other = {"finetune": new and "pretrain", "pretrain": tuned and "finetune"}[command]
    if other:
        what = "pre-trains a new model" if new else f"fine-tunes {begun.model.start}"
        raise InputError(
            f"--resume: expected a run of {command}, got {folder}, which {what}; "
            f"go on with: lmkernel {other} --resume {shlex.quote(folder)}"
        )


def report_outcome(run: TrainingRun, command: str) -> int:
    """Say how a run ended, as process 0; returns the exit code."""
    if run.rank:
        return INTERRUPTED if run.status == "interrupted" else 0
    if run.status == "interrupted":
        print(f"interrupted after step {run.step}; go on with:", file=sys.stderr)
        print(f"  lmkernel {command} --resume {shlex.quote(str(run.folder))}", file=sys.stderr)
        return INTERRUPTED
    print(run)
    if run.status == "was finished":
        print("nothing was left to train; for more, say --steps", file=sys.stderr)
    return 0
