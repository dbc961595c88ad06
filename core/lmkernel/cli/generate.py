"""``lmkernel generate``: continue a prompt."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.options import (
    add_generation_options,
    add_loading_options,
    cut_note,
    generation_options,
    load,
    read_prompt,
)
from lmkernel.cli.screen import note
from lmkernel.paths import user_path

if TYPE_CHECKING:
    import argparse

__all__ = ["Generate"]


@final
class Generate(Command):
    """Standard output holds the completion alone, as it comes, or one JSON object."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the prompt and how to answer."""
        parser.add_argument("model", metavar="MODEL", help="a name, a folder or a GGUF file")
        parser.add_argument("prompt", nargs="?", metavar="PROMPT", help="default: standard input")
        parser.add_argument("--json", action="store_true", help="print one object at the end")
        parser.add_argument(
            "--json-schema",
            dest="schema_file",
            metavar="FILE",
            help="keep to a JSON schema; needs lmkernel[structured]",
        )
        add_generation_options(parser)
        add_loading_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Generate."""
        options, prompt = generation_options(args), read_prompt(args.prompt)
        if args.schema_file is not None:
            from lmkernel.checkpoints.json_files import read_object

            schema = read_object(user_path(args.schema_file), required=True)
            options = options.replace(json_schema=schema)
        loaded = load(args)
        from lmkernel.structured import SchemaError

        try:
            answer = loaded.generate(prompt, options)
            for piece in answer:
                if not args.json:
                    print(piece, end="", flush=True)
        except SchemaError as error:
            raise SchemaError(f"{args.schema_file}: {error}") from error
        if args.json:
            backend = loaded.model.backend
            result = {
                "model": args.model,
                "backend": backend.name,
                "device": backend.device,
                "dtype": loaded.model.policy.compute,
                "prompt": prompt,
                "text": answer.text,
                "tokens": answer.tokens,
                "finish_reason": answer.finish_reason,
                "seconds": round(answer.seconds, 3),
            }
            print(json.dumps(result))
        else:
            if sys.stdout.isatty():
                print()
            if cut := cut_note(answer, options):
                note(cut)
        return 0
