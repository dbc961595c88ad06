"""``lmkernel chat``: one answer, or a conversation in the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.options import (
    add_backend_options,
    add_generation_options,
    generation_options,
    load,
    read_prompt,
)
from lmkernel.cli.style import paint
from lmkernel.errors import InputError, LmkernelError
from lmkernel.loading import DEFAULT_MODEL

if TYPE_CHECKING:
    import argparse

    from lmkernel.generation import GenerationOptions, TextGeneration
    from lmkernel.language_model import LanguageModel, Message

__all__ = ["Chat"]

_HELP = "/clear forgets the conversation, /quit or Ctrl-D leaves, Ctrl-C stops an answer"


@final
class Chat(Command):
    """With a prompt, or without a terminal, one answer; else a conversation."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The prompt, the model and how to answer."""
        parser.add_argument(
            "prompt", nargs="?", metavar="PROMPT", help="default: a conversation, or standard input"
        )
        parser.add_argument(
            "--model", default=DEFAULT_MODEL, metavar="M", help=f"default {DEFAULT_MODEL}"
        )
        parser.add_argument("--system", metavar="TEXT", help="what the model is told first")
        add_generation_options(parser)
        add_backend_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Answer, or converse."""
        options = generation_options(args)
        system = [{"role": "system", "content": args.system}] if args.system else []
        if args.prompt is None and sys.stdin is not None and sys.stdin.isatty():
            return _converse(load(args), options, system)
        prompt = read_prompt(args.prompt)
        if not prompt.strip():
            raise InputError("expected a question, got an empty prompt")
        messages = [*system, {"role": "user", "content": prompt}]
        _show(load(args).chat(messages, options))
        return 0


def _show(answer: TextGeneration) -> None:
    for piece in answer:
        sys.stdout.write(piece)
        sys.stdout.flush()
    print(flush=True)


def _converse(loaded: LanguageModel, options: GenerationOptions, system: list[Message]) -> int:
    import contextlib

    with contextlib.suppress(ImportError):  # where there is no readline, lines cannot be edited
        import readline  # noqa: F401 - importing it is what makes input() editable

    print(paint(_HELP, "dim", sys.stderr), file=sys.stderr)
    messages = list(system)
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            print()
            return 0
        except KeyboardInterrupt:
            print()
            continue
        if line == "/quit":
            return 0
        if line == "/clear":
            messages = list(system)
        elif line.startswith("/"):
            print(_HELP, file=sys.stderr)
        elif line:
            messages = _turn(loaded, options, messages, line)


def _turn(
    loaded: LanguageModel, options: GenerationOptions, messages: list[Message], line: str
) -> list[Message]:
    """One question and its answer, which stay in the conversation even if it is interrupted."""
    asked = [*messages, {"role": "user", "content": line}]
    try:
        answer = loaded.chat(asked, options)
    except LmkernelError as error:
        print(f"{error}; nothing was lost", file=sys.stderr)
        return messages
    try:
        _show(answer)
    except KeyboardInterrupt:
        print(paint(" (stopped)", "dim", sys.stdout))
    except LmkernelError as error:
        print(f"{error}; /clear begins anew", file=sys.stderr)
        return messages
    return [*asked, {"role": "assistant", "content": answer.so_far}]
