"""``lmkernel certify``: runs the suite on one backend and says whether it passes.

Constraints: the backend runs in processes of its own; nothing is left in the folder that the
command is called from, unless ``--out`` names one. Exit code 0 means that nothing failed; whether
that makes a certificate, the verdict says.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.command import Command
from lmkernel.cli.style import columns, paint
from lmkernel.errors import InputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from lmkernel.plugins import BackendSpec
    from lmkernel_conformance.isolation import Answer, Plan

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
_COLOURS = {"certified": "green", "passed in part": "yellow", "not certified": "red"}
_MOST_JOBS = 4
_MOST_REASONS = 20
"""Printed; whoever needs more takes ``--json`` or ``--out``."""


@final
class Certify(Command):
    """A summary for each level, every failure with what it needs to be understood, a verdict."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """What is certified, how thoroughly, and what is kept of it."""
        add = parser.add_argument
        add("backend", metavar="NAME", nargs="?", help="the backend")
        add(
            "--profile",
            choices=_PROFILES,
            default="full",
            help="inference: no gradients; training: no generation and no files; full: all",
        )
        add("--level", action="append", choices=_LEVELS, help="only this level; may be repeated")
        add("--smoke", action="store_true", help="some cases of every level, within a minute")
        add("--device", help="where it computes; by default the backend's first device")
        add("--strict", action="store_true", help="products of float32 in float32, without TF32")
        add("--out", type=Path, metavar="FOLDER", help="write certificate, page, JUnit XML, badge")
        add("--json", action="store_true", help="print the certificate")
        add("--jobs", type=int, default=_jobs(), help="processes at a time (default: %(default)s)")
        add("--limit", type=float, default=240.0, help="seconds for one case (default: 240)")
        add("--explore", type=int, metavar="N", help="instead: N rounds with fresh inputs")
        add("--seed", type=int, help="with --explore: the inputs of an earlier round")
        add("--verify", type=Path, metavar="FILE", help="instead: recompute hash and verdict")

    def run(self, args: argparse.Namespace) -> int:
        """Do what was asked for; the code is 0 if nothing failed."""
        if args.verify is not None:
            return _verify(args.verify)
        if not args.backend:
            raise InputError("certify: expected the name of a backend, or --verify FILE")
        if args.jobs < 1 or args.limit <= 0:
            raise InputError("certify: expected --jobs of at least 1 and a --limit above 0")
        spec = self.registry.select_backend(args.backend)
        if args.explore is not None or args.seed is not None:
            return _explore(_plan(args), args.explore or 1, args.seed)
        return _certify(args, spec)


def _jobs() -> int:
    return max(1, min(_MOST_JOBS, os.cpu_count() or 1))


def _plan(args: argparse.Namespace) -> Plan:
    from lmkernel_conformance.isolation import Plan

    return Plan(
        backend=args.backend,
        device=args.device,
        jobs=args.jobs,
        limit=args.limit,
        strict=args.strict,
    )


def _certify(args: argparse.Namespace, spec: BackendSpec) -> int:
    from lmkernel_conformance.artifacts import require_place, write_artifacts
    from lmkernel_conformance.certification import Certification
    from lmkernel_conformance.manifest import read_manifest

    seconds: dict[str, float] = {}
    if args.out is not None:
        require_place(args.out)
    document = Certification(
        spec=spec,
        plan=_plan(args),
        manifest=read_manifest(),
        profile=args.profile,
        levels=tuple(args.level or ()),
        smoke=args.smoke,
        told=lambda answer: _progress(answer, seconds),
    ).run()
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    if args.out is not None:
        write_artifacts(document, seconds, args.out)
    text = json.dumps(document, indent=2) if args.json else _text(document)
    print(text)  # noqa: T201 - a command's results are printed
    return int(document["verdict"] == "not certified")


def _progress(answer: Answer, seconds: dict[str, float]) -> None:
    """Keep how long it took; on a terminal, one line that counts."""
    name = f"{answer['case']}[{answer['dtype']}]"
    seconds[name] = answer["seconds"]
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{len(seconds)} {name}")
        sys.stderr.flush()


def _verify(path: Path) -> int:
    from lmkernel_conformance.certificate import verify
    from lmkernel_conformance.manifest import read_manifest

    found = verify(path, read_manifest())
    lines = found or ["hash and verdict fit: certified"]
    print("\n".join(f"{path}: {line}" for line in lines))  # noqa: T201 - a command's results are printed
    return int(bool(found))


def _explore(plan: Plan, rounds: int, seed: int | None) -> int:
    from lmkernel_conformance.certification import explore
    from lmkernel_conformance.manifest import read_manifest

    failed = False
    for _ in range(1 if seed is not None else rounds):
        chosen, failures = explore(plan, read_manifest().fresh(), seed)
        failed = failed or bool(failures)
        verdict = f"{len(failures)} failures" if failures else "passed"
        print(f"seed {chosen}: {verdict}")  # noqa: T201 - a command's results are printed
        for line in failures:
            print(f"  {line}\n    lmkernel certify {plan.backend} --seed {chosen}")  # noqa: T201 - the same
    return int(failed)


def _text(document: Mapping[str, Any]) -> str:
    rows = document["cases"]
    head = ["LEVEL", "PASSED", "EXCUSED", "FAILED", "LARGEST SHARE OF A BUDGET"]
    lines = [columns([head, *_counts(rows)]), *_failures(document)]
    lines += [document["next"]] if document["next"] else []
    verdict, backend = document["verdict"], document["backend"]["name"]
    words = {
        "certified": f"{backend} is certified for the profile {document['profile']}",
        "passed in part": f"{backend} passes ({document['selection']}; no certificate) the profile "
        f"{document['profile']}",
        "not certified": f"{backend} is not certified for the profile {document['profile']}: "
        f"{len(document['reasons'])} reasons",
    }
    return "\n".join([*lines, paint(words[verdict], _COLOURS[verdict], sys.stdout)])


def _counts(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    found = []
    for level in dict.fromkeys(row["level"] for row in rows):
        own = [row for row in rows if row["level"] == level]
        passed = [row for row in own if row["state"] == "passed"]
        excused = [row for row in own if row["state"] in ("unsupported", "known failure")]
        share = max((row["share"] for row in passed), default=0.0)
        counts = (len(passed), len(excused), len(own) - len(passed) - len(excused))
        found.append([level, *map(str, counts), f"{share:.2f}"])
    return found


def _failures(document: Mapping[str, Any]) -> list[str]:
    """The first reasons; one of a case with its likely defect and the command that repeats it."""
    from lmkernel_conformance.catalogue import likely
    from lmkernel_conformance.manifest import read_manifest
    from lmkernel_conformance.page import reproducing

    cases = read_manifest().cases
    rows = {f"{row['case']}[{row['dtype']}]": row for row in document["cases"]}
    lines = []
    for why in document["reasons"][:_MOST_REASONS]:
        lines.append(why)
        row = rows.get(why.partition(": ")[0])
        if row is not None:
            lines += [f"    likely: {hint}" for hint in likely(cases[row["case"]]["rows"])]
            lines.append(f"    {reproducing(document['backend']['name'], row)}")
    more = len(document["reasons"]) - _MOST_REASONS
    if more > 0:
        lines.append(f"and {more} more; --json prints them, --out writes a page")
    return lines
