"""Compare speed with rivals in one run: ``python benchmarks/run.py --help``.

Constraints: standard library alone; every contestant runs in a process of its own, in turn, in
alternating rounds, with the same prompts, counts, environment and precision; medians are compared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bars import verdicts
from contestants import BACKENDS, SPEEDS, Contestant, Pythons, contestants
from machine import describe
from processes import ContestantError, environment, run_cold, run_worker, warm_files
from report import markdown
from summary import medians

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

MODEL = "smollm2-135m-instruct"
COLD = "cold"
METRICS = (*SPEEDS, COLD)
NEW_TOKENS = 32
BATCH = 8
PREFILL = 512
MESSAGE = "Tell me about the history of the printing press."
PROMPT = (504, 1463, 282, 260, 7510, 1757, 5634, 281, 260, 35561, 2070, 28, 645, 253, 4231, 45956)
"""16 ids, "The history of the printing press begins in the fifteenth century, when a goldsmith"."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run everything, print the page, write what was asked for.

    Returns:
        0, or 1 if a contestant failed, or if ``--check`` is given and a bar is not met.
    """
    args = _parser().parse_args(argv)
    model = args.model or _pulled_model(args.python_lmkernel)
    result = _measure(args, model)
    page = markdown(result)
    sys.stdout.write(page)
    _write(args.json, json.dumps(result, indent=1) + "\n")
    _write(args.markdown, page)
    missed = [one for one in verdicts(result["medians"]) if one.is_met is False]
    return int(bool(result["failures"]) or (args.check and bool(missed)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__)
    add = parser.add_argument
    add("--model", help=f"a Hugging Face directory; by default the pulled {MODEL}")
    add("--only", type=_names(BACKENDS), default=BACKENDS, help="our backends: numpy,torch,…")
    add("--metrics", type=_names(METRICS), default=METRICS, help=f"some of {','.join(METRICS)}")
    add("--skip", type=lambda text: text.split(","), default=[], help="contestants to leave out")
    add("--rounds", type=int, default=3, help="alternating rounds, at least 1")
    add("--repeats", type=int, default=3, help="measurements of a metric within a process")
    add("--timeout", type=float, default=1200, help="seconds for one process")
    for name in ("transformers", "keras", "lmkernel"):
        add(f"--python-{name}", default=sys.executable, help=f"the interpreter that has {name}")
    add("--json", type=Path, help="write everything that was measured to this file")
    add("--markdown", type=Path, help="write the page to this file")
    add("--check", action="store_true", help="exit with 1 when a bar is not met")
    return parser


class _names:  # noqa: N801 - argparse calls it like a function and shows its name in errors
    """Reads ``a,b`` and refuses what is not among the known names."""

    def __init__(self, known: Sequence[str]) -> None:
        self.known = known

    def __call__(self, text: str) -> list[str]:
        unknown = [name for name in text.split(",") if name not in self.known]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"expected some of {','.join(self.known)}, got {','.join(unknown)}"
            )
        return text.split(",")


def _pulled_model(python: str) -> str:
    """Ask lmkernel where the model is, which pulls it if it is not there."""
    code = f"from lmkernel.sources import find_model; print(find_model({MODEL!r}))"
    done = subprocess.run(  # noqa: S603 - the interpreter that the user named, and our own line
        [python, "-c", code], check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.strip().splitlines()[-1]


def _measure(args: argparse.Namespace, model: str) -> dict[str, Any]:
    pythons = Pythons(args.python_transformers, args.python_keras, args.python_lmkernel)
    chosen = contestants(pythons, args.only, args.skip)
    warm_files(Path(model))
    runs: list[dict[str, Any]] = []
    failures: dict[str, str] = {}
    for number in range(args.rounds):
        for one in chosen:
            if one.name not in failures:
                _say(f"round {number + 1} of {args.rounds}: {one.name}")
                _turn(one, args, model, number, runs, failures)
    return {
        "machine": describe(),
        "settings": _settings(args, model),
        "runs": runs,
        "failures": [{"contestant": name, "error": error} for name, error in failures.items()],
        "medians": medians(runs),
    }


def _turn(
    one: Contestant,
    args: argparse.Namespace,
    model: str,
    number: int,
    runs: list[dict[str, Any]],
    failures: dict[str, str],
) -> None:
    """Let one contestant run once; who fails is left out of the rounds that follow."""
    label = {"round": number, "contestant": one.name}
    try:
        if any(metric in SPEEDS for metric in args.metrics):
            task, command = _task(one, args, model), [one.python, str(one.worker)]
            runs.append({**label, **run_worker(command, task, environment(one.env), args.timeout)})
        if one.has_cold and COLD in args.metrics:
            command = one.cold_command(model, MESSAGE, NEW_TOKENS)
            if number == 0:  # fills the page cache with the libraries, and is not counted
                run_cold(command, environment(one.env), args.timeout)
            runs.append({**label, COLD: run_cold(command, environment(one.env), args.timeout)})
    except ContestantError as error:
        failures[one.name] = str(error)
        _say(f"{one.name} failed: {error}")


def _task(one: Contestant, args: argparse.Namespace, model: str) -> dict[str, Any]:
    """Write what the workers read; see `workers/common.py`."""
    prompt = list(PROMPT)
    prompts = {
        "decode1": [prompt],
        "decode8": [prompt[row:] + prompt[:row] for row in range(BATCH)],
        "prefill": [prompt * (PREFILL // len(prompt))],
    }
    return {
        "model": model,
        "variant": one.variant,
        "metrics": [name for name in SPEEDS if name in args.metrics],
        "prompts": prompts,
        "new_tokens": NEW_TOKENS,
        "repeats": args.repeats,
    }


def _settings(args: argparse.Namespace, model: str) -> dict[str, Any]:
    return {
        "model": Path(model).name,
        "precision": "float32",
        "prompt": f"{len(PROMPT)} tokens",
        "new_tokens": NEW_TOKENS,
        "cache_capacity": len(PROMPT) + NEW_TOKENS,
        "prefill": f"{PREFILL} tokens, logits of the last",
        "rounds": args.rounds,
        "repeats": args.repeats,
    }


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
