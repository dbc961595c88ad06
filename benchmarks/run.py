"""Compare speed with rivals in one run: ``python benchmarks/run.py [train|serve] --help``.

Constraints: the driver needs the standard library alone. Every contestant runs in a process of its
own, one after the other, in alternating rounds, with the same prompts, counts, environment and
precision. Medians are compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bars import verdicts
from contestants import Contestant, Pythons, contestants
from decoding import METRICS, Decoding
from machine import describe
from report import markdown
from serving import Serving
from subject import BACKENDS, Subject
from summary import medians
from train_steps import Training

from processes import ContestantError, environment, run_cold, run_worker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["main"]

SUBJECTS: Mapping[str, type[Subject]] = MappingProxyType(
    {"decode": Decoding, "train": Training, "serve": Serving}
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run everything, print the page, write what was asked for.

    Returns:
        0, or 1 if a contestant failed, or if ``--check`` is given and a bar is not met.
    """
    args = _parser().parse_args(argv)
    subject = SUBJECTS[args.subject]()
    result = _measure(args, subject)
    page = markdown(subject, result)
    sys.stdout.write(page)
    _write(args.json, json.dumps(result, indent=1) + "\n")
    _write(args.markdown, page)
    missed = [one for one in verdicts(subject, result["medians"]) if one.is_met is False]
    return int(bool(result["failures"]) or (args.check and bool(missed)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__)
    add = parser.add_argument
    add("subject", nargs="?", choices=SUBJECTS, default="decode", help="what is compared")
    add("--only", type=_names(BACKENDS), default=BACKENDS, help="our backends: numpy,torch,…")
    add("--skip", type=lambda text: text.split(","), default=[], help="contestants to leave out")
    add("--rounds", type=int, default=3, help="alternating rounds, at least 1")
    add("--repeats", type=int, help="measurements of a metric, or steps, within a process")
    add("--timeout", type=float, default=1200, help="seconds for one process")
    for name in ("transformers", "keras", "lmkernel"):
        add(f"--python-{name}", default=sys.executable, help=f"the interpreter that has {name}")
    add("--json", type=Path, help="write everything that was measured to this file")
    add("--markdown", type=Path, help="write the page to this file")
    add("--check", action="store_true", help="exit with 1 when a bar is not met")
    some = parser.add_argument_group("of some").add_argument
    some("--model", help="of decode and serve: a Hugging Face directory; by default a pulled one")
    some("--gguf", type=Path, help="of serve: the file that llama.cpp serves")
    metrics = f"of decode: some of {','.join(METRICS)}"
    some("--metrics", type=_names(METRICS), default=METRICS, help=metrics)
    return parser


class _names:  # noqa: N801 - argparse calls it like a function and shows its name in errors
    """Parses ``a,b`` and refuses unknown names."""

    def __init__(self, known: Sequence[str]) -> None:
        self.known = known

    def __call__(self, text: str) -> list[str]:
        unknown = [name for name in text.split(",") if name not in self.known]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"expected some of {','.join(self.known)}, got {','.join(unknown)}"
            )
        return text.split(",")


def _measure(args: argparse.Namespace, subject: Subject) -> dict[str, Any]:
    args.repeats = args.repeats or subject.repeats
    subject.prepare(args)
    pythons = Pythons(args.python_transformers, args.python_keras, args.python_lmkernel)
    chosen = contestants(subject, pythons, args.only, args.skip)
    runs: list[dict[str, Any]] = []
    failures: dict[str, str] = {}
    for number in range(args.rounds):
        for one in chosen:
            if one.name not in failures:
                _say(f"round {number + 1} of {args.rounds}: {one.name}")
                _turn(one, args, subject, number, runs, failures)
    counts = {"rounds": args.rounds, "repeats": args.repeats}
    return {
        "machine": describe(),
        "settings": {**subject.settings(args), **counts},
        "runs": runs,
        "failures": [{"contestant": name, "error": error} for name, error in failures.items()],
        "medians": medians(runs),
    }


def _turn(
    one: Contestant,
    args: argparse.Namespace,
    subject: Subject,
    number: int,
    runs: list[dict[str, Any]],
    failures: dict[str, str],
) -> None:
    """Let one contestant run once; one that fails is left out of the rounds that follow."""
    label, env = {"round": number, "contestant": one.name}, environment(one.env)
    task, cold = subject.task(one, args), subject.cold_command(one, args)
    try:
        if task is not None:
            command = [one.python, str(one.worker)]
            runs.append({**label, **run_worker(command, task, env, args.timeout)})
        if cold is not None:
            if number == 0:  # brings the libraries into the page cache, and does not count
                run_cold(cold, env, args.timeout)
            runs.append({**label, "cold": run_cold(cold, env, args.timeout)})
    except ContestantError as error:
        failures[one.name] = str(error)
        _say(f"{one.name} failed: {error}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _write(path: Path | None, text: str) -> None:
    """Write a file whole or not at all."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
