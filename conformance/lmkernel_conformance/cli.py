"""``lmkernel certify``: runs the suite on one backend and says whether it passes.

Constraints: the suite runs in a process of its own, with its own pytest configuration, without
other plugins of pytest, and leaves nothing in the folder that it is called from.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.command import Command
from lmkernel.cli.style import columns, paint

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["Certify"]

_LEVELS = (
    "document",
    "operations",
    "gradients",
    "components",
    "models",
    "generation",
    "checkpoints",
    "training",
)
_PROFILES = ("inference", "training", "full")
_NOTHING_COLLECTED = 5


@final
class Certify(Command):
    """A summary for each level, every discrepancy, and a verdict."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """What is certified, and how thoroughly."""
        parser.add_argument("backend", metavar="NAME", help="the backend")
        parser.add_argument(
            "--profile",
            choices=_PROFILES,
            default="full",
            help="inference: no gradients; training: no generation and no files; full: all",
        )
        parser.add_argument(
            "--level", action="append", choices=_LEVELS, help="only this level; may be repeated"
        )
        parser.add_argument("--json", action="store_true", help="print a list of results")

    def run(self, args: argparse.Namespace) -> int:
        """Run the suite; the code is 0 if every case passes."""
        _require_pytest()
        self.registry.select_backend(args.backend)
        levels = tuple(args.level or _LEVELS)
        code, rows = _run(args.backend, args.profile, levels)
        passed = code == 0 and bool(rows)
        if args.json:
            print(json.dumps(rows, indent=2))  # noqa: T201 - a command's results are printed
        else:
            print(_text(args, levels, rows, passed=passed))  # noqa: T201 - the same
        return 0 if passed else 1


def _require_pytest() -> None:
    from importlib.util import find_spec

    from lmkernel.errors import MissingDependencyError

    if find_spec("pytest") is None:
        raise MissingDependencyError(
            "certify needs pytest, which is not installed; run: pip install 'lmkernel[conformance]'"
        )


def _run(backend: str, profile: str, levels: Sequence[str]) -> tuple[int, list[dict[str, Any]]]:
    """Exit code of pytest, and one row for each case and dtype."""
    import subprocess

    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.jsonl"
        command = [*_command(backend, profile, levels), "--lmkernel-report", str(report)]
        done = subprocess.run(command, env=_environment(), stdout=sys.stderr, check=False)  # noqa: S603 - our own interpreter and arguments
        text = report.read_text(encoding="utf-8") if report.exists() else ""
    return done.returncode, [json.loads(line) for line in text.splitlines()]


def _command(backend: str, profile: str, levels: Sequence[str]) -> list[str]:
    here = Path(__file__).parent
    options = ["-p", "no:cacheprovider", "-p", "lmkernel_conformance.pytest_plugin"]
    options += ["-c", str(here / "pytest.ini"), "--rootdir", str(here), "-q", "--tb=line"]
    options += ["--lmkernel-backend", backend, "--lmkernel-profile", profile]
    files = [str(here / f"test_{level}.py") for level in levels]
    return [sys.executable, "-m", "pytest", *options, *files]


def _environment() -> dict[str, str]:
    """Without what the user's own pytest is told; bytecode is not written beside the suite."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def _text(
    args: argparse.Namespace,
    levels: Sequence[str],
    rows: Sequence[dict[str, Any]],
    *,
    passed: bool,
) -> str:
    lines = [
        columns(
            [["LEVEL", "PASSED", "FAILED", "LARGEST SHARE OF A BUDGET"], *_counts(levels, rows)]
        )
    ]
    wrong = [row for row in rows if row["outcome"] != "passed"]
    lines += [f"{row['level']}/{row['case']}[{row['dtype']}]: {row['message']}" for row in wrong]
    verdict = "passes" if passed else "does not pass"
    colour = "green" if passed else "red"
    lines.append(paint(f"{args.backend} {verdict} the profile {args.profile}", colour, sys.stdout))
    return "\n".join(lines)


def _counts(levels: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    found = []
    for level in levels:
        own = [row for row in rows if row["level"] == level]
        good = [row for row in own if row["outcome"] == "passed"]
        share = max((row["share"] for row in good), default=0.0)
        found.append([level, str(len(good)), str(len(own) - len(good)), f"{share:.2f}"])
    return found
