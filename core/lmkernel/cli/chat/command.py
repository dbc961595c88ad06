"""``lmkernel chat``: what it is asked, and whether it answers once or converses."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, final

from lmkernel.cli.chat.keys import hold_keys
from lmkernel.cli.chat.server import ServedModel
from lmkernel.cli.command import Command
from lmkernel.cli.options import (
    add_generation_options,
    add_loading_options,
    cut_note,
    generation_options,
    load,
    read_prompt,
)
from lmkernel.cli.screen import note, show
from lmkernel.errors import InputError, PullError
from lmkernel.loading import DEFAULT_MODEL

if TYPE_CHECKING:
    import argparse

    from lmkernel.language_model import LanguageModel

__all__ = ["Chat"]

_KEY = "LMKERNEL_SERVE_KEY"


@final
class Chat(Command):
    """With a prompt, or without a terminal, one answer; else a conversation."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The prompt, the model and how to answer."""
        parser.add_argument(
            "prompt", nargs="?", metavar="PROMPT", help="default: a conversation, or standard input"
        )
        parser.add_argument(
            "--model",
            metavar="M",
            help=f"a name, a folder or a GGUF file; default {DEFAULT_MODEL}, or a server's first",
        )
        parser.add_argument("--url", metavar="URL", help="talk with a server of OpenAI's interface")
        parser.add_argument("--key", metavar="KEY", help=f"that the server wants; default ${_KEY}")
        parser.add_argument("--system", metavar="TEXT", help="what the model is told first")
        parser.add_argument(
            "--image",
            action="append",
            default=[],
            metavar="FILE",
            help="a picture before the first question, for a model that is shown some; repeatable",
        )
        add_generation_options(parser)
        add_loading_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Answer, or converse."""
        options = generation_options(args)
        system = [{"role": "system", "content": args.system}] if args.system else []
        if args.prompt is None and sys.stdin is not None and sys.stdin.isatty():
            from lmkernel.cli.chat.conversation import Conversation
            from lmkernel.cli.chat.talk import converse

            with hold_keys():
                model = _open(args)
            if not isinstance(model, ServedModel) and model.tokenizer.chat_template is None:
                model.tokenizer.chat([])  # says so now, not of each question
            return converse(Conversation(model, options, system, args.image))
        if args.prompt is not None and _is_model(args.prompt):
            raise InputError(
                f"expected a question, got the model {args.prompt!r}; "
                f"to talk with it: lmkernel chat --model {args.prompt}"
            )
        prompt = read_prompt(args.prompt)
        if not prompt.strip():
            raise InputError("expected a question, got an empty prompt")
        asked = [*system, {"role": "user", "content": prompt}]
        answer = _open(args).chat(asked, options, images=args.image)
        show(answer)
        if cut := cut_note(answer, options):
            note(cut)
        return 0


def _open(args: argparse.Namespace) -> LanguageModel | ServedModel:
    """The model that is talked with: one of ours, or a server's."""
    if args.url is None:
        if args.key is not None:
            raise InputError("--key: expected --url, whose server wants it")
        args.model = args.model or DEFAULT_MODEL
        return load(args)
    for name in ("backend", "device", "dtype", "weights"):
        if getattr(args, name) is not None:
            raise InputError(f"--{name}: the server decides about it; leave it out with --url")
    return ServedModel(args.url, args.key or os.environ.get(_KEY) or None, args.model)


def _is_model(text: str) -> bool:
    """Whether a question is the name of a model, or the path of one that is here."""
    from lmkernel.sources.resolve import known_models
    from lmkernel.sources.store import pulled_models

    if text in known_models():
        return True
    with contextlib.suppress(PullError):  # a user without a home folder has pulled none
        if text in pulled_models():
            return True
    return any(os.path.isfile(os.path.join(text, name)) for name in ("config.json", "run.toml"))  # noqa: PTH113, PTH118 - which are no error for any text
