"""``lmkernel verify``: is somebody else's implementation of a checkpoint right?"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, final

from lmkernel.atomic import require_writable
from lmkernel.cli.command import Command
from lmkernel.cli.style import painter
from lmkernel.errors import InputError
from lmkernel.paths import user_path

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

__all__ = ["Verify"]


@final
class Verify(Command):
    """Exit code 0 if the subject is right, 1 if it is wrong, 3 if it cannot be asked."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The checkpoint, the subject, and how much is asked."""
        parser.add_argument(
            "checkpoint", metavar="CHECKPOINT", nargs="?", help="a name, a folder or a GGUF file"
        )
        parser.add_argument(
            "--subject",
            metavar="SUBJECT",
            help="NAME or NAME:ARGUMENT; `lmkernel verify --subjects` lists them",
        )
        parser.add_argument("--subjects", action="store_true", help="list the subjects")
        parser.add_argument(
            "--dtype",
            default="float32",
            metavar="NAME",
            help="of the subject: float32 (default), tf32, bfloat16 or float16",
        )
        level = parser.add_mutually_exclusive_group()
        level.add_argument("--quick", action="store_true", help="few and short prompts")
        level.add_argument("--thorough", action="store_true", help="more and longer prompts")
        parser.add_argument(
            "--part", default="texts", metavar="NAME", help="of two towers: texts or pictures"
        )
        parser.add_argument(
            "--prompt", action="append", default=[], metavar="TEXT", help="one more; repeatable"
        )
        parser.add_argument(
            "--ids", action="append", default=[], metavar="N,N,…", help="one more; repeatable"
        )
        parser.add_argument(
            "--option", action="append", default=[], metavar="K=V", help="the subject's own"
        )
        parser.add_argument(
            "--limit", type=float, default=300.0, metavar="S", help="seconds for an answer"
        )
        parser.add_argument("--out", metavar="DIR", help="a folder for JSON, HTML, MD and JUnit")
        parser.add_argument("--json", action="store_true", help="print one object")
        parser.add_argument("--markdown", action="store_true", help="print Markdown")
        parser.add_argument(
            "--write-prompts", metavar="PATH", help="write what a subject `file:` is to answer"
        )
        parser.add_argument(
            "--verify", metavar="FILE", help="recompute the verdict of a verification.json"
        )

    def run(self, args: argparse.Namespace) -> int:
        """Ask, judge, and print."""
        if args.subjects:
            return self._list()
        if args.verify is not None:
            return _again(user_path(args.verify))
        if args.checkpoint is None:
            raise InputError("expected a CHECKPOINT")
        level = "quick" if args.quick else "thorough" if args.thorough else "usual"
        asked: dict[str, Any] = {
            "level": level,
            "part": args.part,
            "prompts": args.prompt,
            "ids": [_numbers(text) for text in args.ids],
        }
        if args.write_prompts is not None:
            from lmkernel.verification.verb import write_prompts

            count = write_prompts(args.checkpoint, args.write_prompts, **asked)
            print(f"{args.write_prompts}: {count} rows")
            return 0
        return self._verify(args, asked)

    def _verify(self, args: argparse.Namespace, asked: dict[str, Any]) -> int:
        from lmkernel.verification.verb import verify

        if args.subject is None:
            raise InputError("expected --subject; `lmkernel verify --subjects` lists them")
        out = None if args.out is None else user_path(args.out)
        if out is not None:
            require_writable(out, InputError)
        found = verify(
            args.checkpoint,
            subject=args.subject,
            dtype=args.dtype,
            options=dict(_pair(text) for text in args.option),
            limit=args.limit,
            **asked,
        )
        if out is not None:
            found.write(out)
        if args.json:
            print(json.dumps(found.json()))
        elif args.markdown:
            print(found.markdown(), end="")
        else:
            print(found.text(painter(sys.stdout)))
        return int(not found.passed)

    def _list(self) -> int:
        from lmkernel.plugins.specs import SubjectSpec
        from lmkernel.results import columns

        rows = [["SUBJECT", "CAPABILITIES", ""]]
        for spec in self.registry.all(SubjectSpec).values():
            missing = f" ({spec.install})" if spec.missing() else ""
            rows.append([spec.name, ", ".join(spec.capabilities), spec.help + missing])
        print(columns(rows))
        return 0


def _again(path: Path) -> int:
    from lmkernel.verification.document import read_document

    document = read_document(path)
    print(f"{path}: the verdict follows from what it says\n{document['verdict']}")
    return int(not document["passed"])


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError as error:
        raise InputError(f"--ids: expected numbers by commas, got {text!r}") from error


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InputError(f"--option: expected K=V, got {text!r}")
    return name, value
