"""``lmkernel certify``: runs the suite on one backend and prints the verdict.

Constraints: the backend runs in worker processes; nothing is written unless ``--out`` names a
folder. Exit code 0 means that nothing failed; the verdict says whether that is a certificate.
"""

from __future__ import annotations

import json
import os
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.arguments import require_count, require_number
from lmkernel.atomic import require_writable
from lmkernel.cli.command import Command
from lmkernel.cli.style import painter
from lmkernel.errors import InputError, MissingDependencyError
from lmkernel.paths import user_path
from lmkernel.progress import Progress
from lmkernel_conformance.levels import LEVELS, PROFILES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lmkernel_conformance.isolation.session import Plan

__all__ = ["Certify"]

_SHARED = ("backend", "device", "jobs", "limit", "strict")
_OF_MODES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "--verify": ("verify",),
        "--endpoint": (
            *("endpoint", "model", "embed_model", "speech_model", "key", "category", "flood"),
            *("limit", "out", "json"),
        ),
        "--self-test": ("self_test", "full", "every", "mutants", "keep", "jobs", "out", "json"),
        "--explore": ("explore", "seed", *_SHARED),
        "a backend": ("profile", "level", "smoke", "out", "json", *_SHARED),
    }
)
"""Which options are of use with what, the first that is asked for."""
_BEGINNING = """\
self-test: every case on correct backends first, some minutes; then on each mutant the cases that
reach its change, until one kills it"""


@final
class Certify(Command):
    """Certify a backend: a summary by level, the failures with their likely causes, the verdict."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the options: what is certified, how thoroughly, and what is written."""
        add = parser.add_argument
        self._usual: Callable[[str], Any] = parser.get_default
        add("backend", metavar="NAME", nargs="?", help="the backend")
        add(
            "--profile",
            choices=PROFILES,
            default="full",
            help="inference: no gradients; training: no generation and no files; full: all",
        )
        add("--level", action="append", choices=LEVELS, help="only this level; may be repeated")
        add("--smoke", action="store_true", help="some cases of every level, within a minute")
        add("--device", help="where it computes; by default the backend's first device")
        add("--strict", action="store_true", help="products of float32 in float32, without TF32")
        add(
            "--out",
            metavar="PATH",
            help="folder for certificate, page, JUnit XML, badge; file for the self-test's page",
        )
        add("--json", action="store_true", help="print the certificate")
        add("--jobs", type=int, help="processes at a time; default: one a processor, four at most")
        add("--limit", type=float, default=240.0, help="seconds for one case (default: 240)")
        add("--explore", type=int, metavar="N", help="instead: search N examples of each operation")
        add("--seed", type=int, help="with --explore: that of an earlier search")
        add("--verify", metavar="FILE", help="instead: recompute hash and verdict")
        add("--endpoint", metavar="URL", help="instead: a server, by the URL of its /v1")
        add("--model", help="with --endpoint: that is asked (default: the first that it lists)")
        add("--embed-model", metavar="MODEL", help="with --endpoint: that makes vectors")
        add("--speech-model", metavar="MODEL", help="with --endpoint: that hears (default: none)")
        add("--key", help="with --endpoint: that the server wants; default $LMKERNEL_SERVE_KEY")
        add("--category", action="append", help="with --endpoint: only this one; repeatable")
        add("--flood", type=int, default=256, help="with --endpoint: more at once than it takes")
        add("--self-test", action="store_true", help="instead: does the suite find every mutant?")
        add("--full", action="store_true", help="with --self-test: slow cases always")
        add(
            "--every",
            type=int,
            default=1,
            metavar="N",
            help="with --self-test: one in N of the mutants (default: all)",
        )
        add(
            "--mutants",
            choices=("all", "handwritten", "mechanical"),
            default="all",
            help="with --self-test: which ones (default: all)",
        )
        add("--keep", metavar="FILE", help="with --self-test: verdicts so far; goes on from them")

    def run(self, args: argparse.Namespace) -> int:
        """Certify, explore, verify or test the suite itself; the code is 0 if nothing failed."""
        self._refuse_others(args)
        if args.verify is not None:
            return _verify(user_path(args.verify))
        if args.endpoint is not None:
            return _certify_endpoint(args)
        from lmkernel_conformance.verb import require_jobs, usual_jobs

        args.jobs = usual_jobs() if args.jobs is None else args.jobs
        require_jobs("--jobs", args.jobs)
        require_number("--limit", args.limit, above=0)
        if args.self_test:
            return _self_test(args)
        if not args.backend:
            raise InputError(
                "certify: expected the name of a backend, --endpoint URL, --verify FILE or "
                "--self-test"
            )
        self.registry.select_backend(args.backend)
        if args.explore is not None:
            return _explore(_plan(args), args.explore, args.seed)
        return _certify(args)

    def _refuse_others(self, args: argparse.Namespace) -> None:
        """Refuse an option that would change nothing.

        Raises:
            InputError: names it, and what it is beside.
        """
        asked = {
            "--verify": args.verify is not None,
            "--endpoint": args.endpoint is not None,
            "--self-test": args.self_test,
            "--explore": args.explore is not None,
        }
        mode = next((name for name, there in asked.items() if there), "a backend")
        known = {name for names in _OF_MODES.values() for name in names}
        for name in sorted(known.difference(_OF_MODES[mode])):
            if getattr(args, name) != self._usual(name):
                option = "NAME" if name == "backend" else f"--{name.replace('_', '-')}"
                others = [other for other, names in _OF_MODES.items() if name in names]
                raise InputError(
                    f"certify: {option}: expected with {' or '.join(others)}, got beside {mode}"
                )


def _plan(args: argparse.Namespace) -> Plan:
    from lmkernel_conformance.isolation.session import Plan

    return Plan(
        backend=args.backend,
        device=args.device,
        jobs=args.jobs,
        limit=args.limit,
        strict=args.strict,
    )


def _certify(args: argparse.Namespace) -> int:
    from lmkernel_conformance.verb import certify

    certificate = certify(
        args.backend,
        profile=args.profile,
        levels=args.level or (),
        smoke=args.smoke,
        device=args.device,
        strict=args.strict,
        jobs=args.jobs,
        limit=args.limit,
        out=args.out,
    )
    text = certificate.text(painter(sys.stdout))
    shown = json.dumps(certificate.json(), indent=2) if args.json else text
    print(shown)  # noqa: T201 - a command's results are printed
    return int(not certificate.passed)


def _certify_endpoint(args: argparse.Namespace) -> int:
    from lmkernel_conformance.endpoint.certification import certify_endpoint

    certificate = certify_endpoint(
        args.endpoint,
        model=args.model,
        embed_model=args.embed_model,
        speech_model=args.speech_model,
        key=args.key or os.environ.get("LMKERNEL_SERVE_KEY"),
        categories=args.category or (),
        limit=args.limit,
        flood=args.flood,
        out=args.out,
    )
    text = certificate.text(painter(sys.stdout))
    print(json.dumps(certificate.json(), indent=2) if args.json else text)  # noqa: T201 - a command's results are printed
    return int(not certificate.passed)


def _verify(path: Path) -> int:
    from lmkernel.checkpoints.json_files import read_object
    from lmkernel_conformance.certificate.certificate import verify
    from lmkernel_conformance.endpoint.manifest import read_endpoint_manifest
    from lmkernel_conformance.endpoint.verdict import verify_endpoint
    from lmkernel_conformance.manifest import read_manifest

    if "endpoint" in read_object(path, required=True):
        found = verify_endpoint(path, read_endpoint_manifest())
    else:
        found = verify(path, read_manifest())
    lines = found or ["hash and verdict fit: certified"]
    print("\n".join(f"{path}: {line}" for line in lines))  # noqa: T201 - a command's results are printed
    return int(bool(found))


def _explore(plan: Plan, examples: int, seed: int | None) -> int:
    from lmkernel_conformance.exploration import describe_search, explore

    result = explore(plan, examples=examples, seed=seed, on_progress=_count)
    _clear()
    print(describe_search(result, plan.backend))  # noqa: T201 - a command's results are printed
    return int(bool(result.findings))


def _self_test(args: argparse.Namespace) -> int:
    from importlib.util import find_spec

    if find_spec("lmkernel_proofs") is None:
        raise MissingDependencyError(
            "certify: --self-test needs lmkernel_proofs, which proves the suite itself and is a "
            "distribution of its own; run: pip install ./conformance/proofs"
        )
    from lmkernel_proofs.selftest import save, self_test

    out = None if args.out is None else user_path(args.out)
    if out is not None:
        if out.is_dir() or not out.absolute().parent.is_dir():
            raise InputError(f"certify: expected --out to be a file in a folder, got {out}")
        require_writable(out, InputError)
    require_count("--every", args.every)
    if args.out is not None and (args.every > 1 or args.mutants != "all"):
        raise InputError("certify: the page of --out is of all mutants, without --every")
    Progress(sys.stderr).say(_BEGINNING)

    report = self_test(
        jobs=args.jobs,
        full=args.full,
        every=args.every,
        mutants=args.mutants,
        keep=None if args.keep is None else user_path(args.keep),
        notify=_line,
    )
    _clear()
    if out is not None:
        save(report, out)
    print(json.dumps(report.as_dict, indent=2) if args.json else report.text)  # noqa: T201 - the same
    return int(not report.is_strong)


def _count(name: str, number: int) -> None:
    _line(f"{number} {name}")


def _line(text: str) -> None:
    """Show a line on a terminal that the next one overwrites."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
